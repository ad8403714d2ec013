import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Header, ModelSpec } from "../src/protocol.js";
import { CHUNK } from "../src/sources/chunks.js";
import { openModel, type Opened, type OpenOptions } from "../src/sources/open.js";
import { nameOf } from "../src/sources/origin.js";
import { Peek } from "../src/sources/peek.js";
import { hold, useLock, writeLock } from "../src/store/locks.js";
import { digest } from "../src/store/manifest.js";
import { deleteModel, listModels, quota } from "../src/store/models.js";
import type { Progress } from "../src/types.js";
import { browser, clearSiteData, file, onlyEntry, stored, stubBrowser } from "./browser.js";
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

/** A look at a model: what it gives of `length` bytes, and what a later look needs. */
async function peek(model: string | ModelSpec, length: number, header?: Header): Promise<Header> {
  const spec: ModelSpec = typeof model === "string" ? { kind: "url", url: model } : model;
  const look = await Peek.open(spec, {}, header, { demand: async () => null, signal: new AbortController().signal });
  for (let at = 0; at < length; at += 100) expect(await look.read(at, 100)).toEqual(content.slice(at, at + 100));
  look.close();
  return { name: look.name, size: look.size, parts: look.parts };
}

test("a look at a model reads what is asked for, and stores nothing", async () => {
  const header = await peek(server.url, 300);
  expect(server.requests.map(({ range }) => range)).toEqual(["bytes=0-0", "bytes=0-99", "bytes=100-199", "bytes=200-299"]);
  expect(stored()?.children.size ?? 0).toBe(0);
  // The next one needs no network, unless it looks further.
  await peek(server.url, 300, header);
  expect(server.requests).toHaveLength(4);
  expect((await peek(server.url, 400, header)).parts).toMatchObject([{ offset: 300 }]);
});

test("a look at what is stored, in part or whole, needs no network", async () => {
  const first = await open(server.url);
  await first.source.read(0, CHUNK);
  await first.close();
  await server.stop();
  expect(await peek(server.url, 1000)).toMatchObject({ name: "small.gguf", size: content.length });
  expect(await listModels()).toMatchObject([{ complete: false }]);
});

test.each([content.length, 2000])("a look at what comes in order takes no more than it needs (%d bytes)", async (size) => {
  server.content = content.subarray(0, size);
  server.behaviour = { ranges: false, hideSize: true };
  expect(await peek(server.url, 1000)).toMatchObject(size === 2000 ? { size: 2000 } : {});
});

test("a stream that is given up is not stored, wherever that happens", async () => {
  const pieces = Array.from({ length: 12 }, (_, index) => content.subarray(index * 2e6, (index + 1) * 2e6));
  for (let point = 0; point <= pieces.length; point++) {
    const controller = new AbortController();
    let given = 0;
    const demand = async () => {
      // As a stream that is cancelled: it seems to be at its end.
      if (given === point) controller.abort();
      return controller.signal.aborted ? null : (pieces[given++] ?? null);
    };
    const spec: ModelSpec = { kind: "stream", supplier: 1, name: "mine" };
    const context = { demand, signal: controller.signal, onProgress: () => {}, onNote: () => {} };
    await expect(openModel(spec, { name: "mine" }, context)).rejects.toMatchObject({ name: "AbortError" });
    expect(stored().children.size).toBe(0);
  }
});

test("what closed tabs left is deleted when room is counted, what can be gone on with is not", async () => {
  const going = await open(server.url);
  await going.source.read(0, CHUNK);
  await going.close();
  const named = stored();
  for (const [name, manifest] of [
    ["no manifest", undefined],
    ["temporary", { version: 1, name: "", url: "", tag: "", size: 4, chunk: CHUNK, hashes: [null], temporary: true }],
    ["unended", { version: 1, name: "", url: "", tag: "", size: 0, chunk: CHUNK, hashes: ["0".repeat(64)] }],
    ["of another version", { version: 2 }],
  ] as const) {
    const folder = await named.getDirectoryHandle(name, { create: true });
    if (manifest) (await folder.getFileHandle("manifest.json", { create: true })).bytes = new TextEncoder().encode(JSON.stringify(manifest));
  }
  // In use by a tab that has only begun.
  await named.getDirectoryHandle("begun", { create: true });
  await hold(useLock("begun"), { mode: "shared" });
  await quota();
  expect([...named.children.keys()].filter((name) => !/^[0-9a-f]{32}$/.test(name)).sort()).toEqual(["begun", "of another version"]);
  expect(await listModels()).toMatchObject([{ complete: false }]);
});

test("storage that is cleared while the model is in use is as if it had never been stored", async () => {
  const found = await open(server.url);
  await readAll(found);
  await found.finish();
  for (let time = 0; time < 2; time++) {
    found.source.clear();
    clearSiteData();
    await readAll(found);
  }
  expect(await listModels()).toMatchObject([{ complete: true }]);
  // Nor is it the end that nothing can be stored any more.
  found.source.clear();
  clearSiteData();
  browser.full = true;
  await readAll(found);
  browser.full = false;
  expect(notes.at(-1)).toContain("the model is used, but not stored");
  await found.close();
});

test("storage that is cleared while the model is loaded does not end the load", async () => {
  const found = await open(server.url);
  await found.source.read(0, 2 * CHUNK);
  clearSiteData();
  await readAll(found);
  await found.finish();
  await found.close();
});

test("another model in the place of one in use is not taken for it", async () => {
  const found = await open(server.url);
  await readAll(found);
  await found.finish();
  found.source.clear();
  clearSiteData();
  server.content = sample(content.length).map((byte) => byte ^ 255);
  await expect(readAll(found)).rejects.toMatchObject({ kind: "storage", message: expect.stringContaining("has changed") });
});

test("without ranges, storage that is cleared is filled again", async () => {
  server.behaviour.ranges = false;
  const found = await open(server.url);
  await readAll(found);
  await found.finish();
  found.source.clear();
  clearSiteData();
  await readAll(found);
});

test("chunks that are damaged together are replaced together", async () => {
  const found = await open(server.url);
  await readAll(found);
  await found.finish();
  found.source.clear();
  for (const name of ["0", "1", "2", "3"]) file(onlyEntry(), name).bytes[7]! ^= 1;
  await Promise.all([0, 1, 2, 3].map((index) => found.source.read(index * CHUNK, 100)));
  // Who writes next is not kept from it.
  const lock = await hold(writeLock((await listModels())[0]!.id), { mode: "exclusive", ifAvailable: true });
  expect(lock).toBeDefined();
  lock?.();
  await found.close();
});

test("blobs of the same size are told apart, and the same one is found again", async () => {
  const other = content.slice();
  other[CHUNK + 5]! ^= 1;
  const load = async (bytes: Uint8Array<ArrayBuffer>) => {
    const found = await open({ kind: "blob", blob: new Blob([bytes]), name: "the given Blob" }, { cache: true });
    expect(Buffer.compare(await found.source.read(CHUNK, 10), bytes.subarray(CHUNK, CHUNK + 10))).toBe(0);
    await found.finish();
    await found.close();
  };
  await load(content);
  await load(other);
  await load(content);
  expect(await listModels()).toHaveLength(2);
});

test("where there is no browser, nothing is stored and there is no room", async () => {
  vi.stubGlobal("navigator", undefined);
  expect(await quota()).toEqual({ usage: 0, available: 0, persistent: false });
  expect(await listModels()).toEqual([]);
});

test("an address with a % that is only a % has a name", async () => {
  expect(nameOf("https://host/100%.gguf")).toBe("100%.gguf");
  expect(nameOf("https://host/a%20b.gguf?x=1")).toBe("a b.gguf");
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
