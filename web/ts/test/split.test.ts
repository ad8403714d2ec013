import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Client } from "../src/client.js";
import { describe } from "../src/model.js";
import { openOrigin } from "../src/sources/origin.js";
import { splitUrls } from "../src/sources/split.js";
import { sample } from "./server.js";

/** Lengths that are no multiple of anything. */
const files = [sample(1000), sample(70_001), sample(33)].map((bytes, at) => bytes.map((byte) => byte ^ at));
const whole = Buffer.concat(files);
let server: Server;
let base: string;
let missing = 0;

beforeEach(async () => {
  missing = 0;
  server = createServer((request, response) => {
    const [, number] = /^\/a%20b\/m-(\d{5})-of-00003\.gguf\?x=1$/.exec(request.url!) ?? [];
    const bytes = files[Number(number) - 1];
    if (!bytes || Number(number) === missing) return void response.writeHead(404).end();
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")!.map(Number);
    const last = Math.min(to!, bytes.length - 1);
    response.setHeader("ETag", `"${number}"`).setHeader("Content-Range", `bytes ${from}-${last}/${bytes.length}`);
    response.writeHead(206).end(bytes.subarray(from, last + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a%20b`;
});

afterEach(() => new Promise((resolve) => server.close(resolve)));

const url = (number: number) => `${base}/m-0000${number}-of-00003.gguf?x=1`;
const context = { demand: async () => null, signal: new AbortController().signal, onBytes: () => {} };

test("a split model's files are read as one", async () => {
  let came = 0;
  const origin = await openOrigin({ kind: "url", url: url(2) }, { ...context, onBytes: (count) => (came += count) });
  expect(origin).toMatchObject({ name: "m-00001-of-00003.gguf", url: url(1), size: whole.length, tag: '"00001" "00002" "00003"' });
  if (!("read" in origin)) throw new Error("no ranges");
  expect(Buffer.compare(await origin.read(0, whole.length), whole)).toBe(0);
  expect(came).toBe(whole.length);
});

test("a file that is missing is named", async () => {
  missing = 3;
  await expect(openOrigin({ kind: "url", url: url(1) }, context)).rejects.toThrow("m-00003-of-00003.gguf?x=1 answered 404");
});

test("only the names of split models are such", () => {
  expect(splitUrls("https://e.org/m-00002-of-00002.gguf")).toEqual([
    "https://e.org/m-00001-of-00002.gguf",
    "https://e.org/m-00002-of-00002.gguf",
  ]);
  for (const name of ["m-00001-of-00001.gguf", "m-00003-of-00002.gguf", "m-00000-of-00002.gguf", "m-1-of-2.gguf", "m.gguf"]) {
    expect(splitUrls(`https://e.org/${name}`)).toBeUndefined();
  }
});

test("any file's address is the model's, and picked files are put in order", async () => {
  const spec = (model: Parameters<typeof describe>[0]) => describe(model, undefined, {} as Client, undefined).spec;
  expect(spec(url(3))).toEqual({ kind: "url", url: url(1) });
  const picked = [3, 1, 2].map((number) => new File([files[number - 1]!], `m-0000${number}-of-00003.gguf`));
  const found = spec(picked);
  if (found.kind !== "blob") throw new Error(found.kind);
  expect(found.name).toBe("m-00001-of-00003.gguf");
  expect(Buffer.compare(new Uint8Array(await found.blob.arrayBuffer()), whole)).toBe(0);
  expect(() => spec([])).toThrow("model is not something to load");
});
