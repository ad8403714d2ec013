import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ModelSpec } from "../src/protocol.js";
import { CHUNK } from "../src/sources/chunks.js";
import { openModel, type Opened, type OpenOptions } from "../src/sources/open.js";
import { digest } from "../src/store/manifest.js";
import { deleteModel, listModels } from "../src/store/models.js";
import type { Progress } from "../src/types.js";
import { browser, file, onlyEntry, stored, stubBrowser } from "./browser.js";
import { FileServer, sample } from "./server.js";

const content = sample(5 * CHUNK + 99);
let server: FileServer;
let opened: Opened[] = [];
let progress: Progress[] = [];
let notes: string[] = [];

beforeEach(async () => {
  stubBrowser();
  server = await FileServer.start(content);
  [opened, progress, notes] = [[], [], []];
});

afterEach(async () => {
  for (const model of opened) await model.close();
  await server.stop().catch(() => {});
  vi.unstubAllGlobals();
});

async function open(
  model: string | ModelSpec,
  options: OpenOptions = {},
  signal = new AbortController().signal,
): Promise<Opened> {
  const spec: ModelSpec = typeof model === "string" ? { kind: "url", url: model } : model;
  const found = await openModel(spec, options, {
    demand: async () => next.shift() ?? null,
    signal,
    onProgress: (one) => progress.push(one),
    onNote: (text) => notes.push(text),
  });
  opened.push(found);
  return found;
}

/** What the page's stream will give. */
let next: Uint8Array[] = [];

async function readAll({ source }: Opened): Promise<void> {
  for (let at = 0; at < source.size; at += 1_000_000) {
    const length = Math.min(1_000_000, source.size - at);
    const bytes = await source.read(at, length);
    expect(Buffer.compare(bytes, content.subarray(at, at + length))).toBe(0);
  }
}

async function load(model: string | ModelSpec, options: OpenOptions = {}): Promise<void> {
  const found = await open(model, options);
  await readAll(found);
  await found.finish();
  await found.close();
}

test("a second load needs no network", async () => {
  await load(server.url);
  await server.stop();
  await load(server.url);
  expect(await listModels()).toMatchObject([
    { name: "small.gguf", url: server.url, size: content.length, stored: content.length, complete: true },
  ]);
});

test("what wasm didn't read is stored too, before the load ends", async () => {
  const found = await open(server.url);
  await found.source.read(0, 10);
  await found.finish();
  expect(await listModels()).toMatchObject([{ complete: true }]);
  expect(progress.at(-1)).toMatchObject({ phase: "download", loaded: content.length, total: content.length });
});

test("an interrupted download goes on where it was", async () => {
  const first = await open(server.url);
  await first.source.read(0, 2 * CHUNK);
  await first.close();
  const before = (await listModels())[0]!;
  expect(before.complete).toBe(false);
  expect(before.stored).toBeGreaterThanOrEqual(2 * CHUNK);
  server.requests.length = 0;
  await load(server.url);
  expect(server.requests.map(({ range }) => range)).not.toContain(`bytes=0-${CHUNK - 1}`);
});

test("a file that changed on the server since is downloaded anew", async () => {
  const first = await open(server.url);
  await first.source.read(0, CHUNK);
  await first.close();
  server.behaviour.etag = '"2"';
  server.requests.length = 0;
  await load(server.url);
  expect(server.requests.map(({ range }) => range)).toContain(`bytes=0-${CHUNK - 1}`);
});

test.each([
  ["flipped", (bytes: Uint8Array<ArrayBuffer>) => ((bytes[77]! ^= 1), bytes)],
  ["truncated", (bytes: Uint8Array<ArrayBuffer>) => bytes.slice(0, 1000)],
])("a %s chunk is found, and that one alone is fetched again", async (_, damage) => {
  await load(server.url);
  const chunk = file(onlyEntry(), "2");
  chunk.bytes = damage(chunk.bytes);
  server.requests.length = 0;
  await load(server.url);
  expect(server.requests.map(({ range }) => range)).toEqual(["bytes=0-0", `bytes=${2 * CHUNK}-${3 * CHUNK - 1}`]);
  expect(notes).toEqual(["parts of the stored copy were damaged; they were fetched again"]);
  await server.stop();
  await load(server.url);
});

test("a damaged copy whose source has changed is given up, and the next load is whole", async () => {
  await load(server.url);
  file(onlyEntry(), "2").bytes[0]! ^= 1;
  server.content = sample(content.length).map((byte) => byte ^ 255);
  await expect(readAll(await open(server.url))).rejects.toMatchObject({ kind: "storage" });
  await opened.at(-1)!.close();
  server.content = content;
  await load(server.url);
});

test("a damaged copy of a file that isn't here any more says what to do", async () => {
  await load({ kind: "blob", blob: new File([content], "my.gguf"), name: "my.gguf" }, { cache: true });
  const [model] = await listModels();
  file(onlyEntry(), "0").bytes = new Uint8Array();
  const found = await open({ kind: "stored", id: model!.id });
  await expect(found.source.read(0, 1)).rejects.toThrow("load it from its file again");
});

test("a manifest that is damaged counts for nothing", async () => {
  await load(server.url);
  const manifest = file(onlyEntry(), "manifest.json");
  manifest.bytes = manifest.bytes.slice(0, manifest.bytes.length / 2);
  expect(await listModels()).toEqual([]);
  await load(server.url);
  expect(await listModels()).toMatchObject([{ complete: true }]);
});

test("two at once download once", async () => {
  await Promise.all([load(server.url), load(server.url)]);
  const ranges = server.requests.map(({ range }) => range).filter((range) => range !== "bytes=0-0");
  expect(ranges).toHaveLength(6);
  expect(progress).toContainEqual(expect.objectContaining({ text: expect.stringContaining("another tab") }));
});

test("one who gives up lets the other go on", async () => {
  const first = await open(server.url);
  await first.source.read(0, 1);
  const second = load(server.url);
  await first.close();
  await second;
});

test("a model in use can't be deleted, one that isn't can", async () => {
  const found = await open(server.url);
  await found.finish();
  const [model] = await listModels();
  await expect(deleteModel(model!.id)).rejects.toMatchObject({ kind: "storage" });
  await found.close();
  await deleteModel(model!.id);
  expect(await listModels()).toEqual([]);
});

test("without ranges the file is stored as it comes", async () => {
  server.behaviour.ranges = false;
  await load(server.url);
  await server.stop();
  await load(server.url);
});

test("without ranges a damaged chunk is found and replaced as well", async () => {
  server.behaviour.ranges = false;
  await load(server.url);
  file(onlyEntry(), "3").bytes[5]! ^= 4;
  await load(server.url);
});

test("a stream is kept only as long as it is in use, a named one for good", async () => {
  next = [content.subarray(0, 1000), content.subarray(1000)];
  await load({ kind: "stream", supplier: 1, name: "the given stream" });
  expect(await listModels()).toEqual([]);
  expect(stored().children.size).toBe(0);
  next = [content.subarray(0, 1000), content.subarray(1000)];
  await load({ kind: "stream", supplier: 1, name: "mine" }, { name: "mine" });
  expect(await listModels()).toMatchObject([{ name: "mine", complete: true }]);
  next = [];
  await load({ kind: "stream", supplier: 1, name: "mine" }, { name: "mine" });
});

test("private windows load from everywhere, and store nothing", async () => {
  stubBrowser({ storage: false });
  await load(server.url);
  expect(notes[0]).toContain("stores nothing");
  server.behaviour.ranges = false;
  await load(server.url);
  await load({ kind: "blob", blob: new Blob([content]), name: "blob" });
  next = [content.slice()];
  await load({ kind: "stream", supplier: 1, name: "stream" });
});

test("an address where nothing is leaves nothing behind", async () => {
  server.behaviour.status = 404;
  await expect(open(server.url)).rejects.toMatchObject({ kind: "network" });
  expect(stored().children.size).toBe(0);
});

test("cache: false stores nothing", async () => {
  await load(server.url, { cache: false });
  expect(stored()?.children.size ?? 0).toBe(0);
});

test("a look at a model stores nothing", async () => {
  const found = await open(server.url, { peek: true });
  await found.source.read(0, 100);
  await found.close();
  expect(stored().children.size).toBe(0);
});

test("no room is an error before the download", async () => {
  browser.quota = 1e6;
  await expect(open(server.url)).rejects.toMatchObject({
    kind: "storage",
    message: "small.gguf needs 21 MB more, but the browser gives this site only 1.0 MB: delete stored models, free disk space, or load it with cache: false",
  });
  expect(server.requests).toHaveLength(1);
});

test("a disk that fills up midway is an error that says so", async () => {
  const found = await open(server.url);
  browser.full = true;
  await expect(found.finish()).rejects.toMatchObject({ kind: "storage", message: expect.stringContaining("can't be stored") });
  browser.full = false;
});

test("the SHA-256 that was asked for is checked", async () => {
  const sha256 = await digest(content);
  await load(server.url, { sha256 });
  expect(progress.at(-1)).toMatchObject({ phase: "verify", loaded: content.length });
  const found = await open(server.url, { sha256: "0".repeat(64) });
  await expect(found.finish()).rejects.toThrow(`its SHA-256 is ${sha256}, not 000`);
  await found.close();
  expect(await listModels()).toEqual([]);
});

test("an abort ends the download", async () => {
  const controller = new AbortController();
  const found = await open(server.url, {}, controller.signal);
  server.behaviour = { ...server.behaviour, breakAfter: 1000, breaks: 1e9 };
  const reading = found.source.read(0, 2 * CHUNK);
  setTimeout(() => controller.abort(), 30);
  await expect(reading).rejects.toMatchObject({ name: "AbortError" });
});
