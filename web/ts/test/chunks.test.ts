import { expect, test } from "vitest";
import { CHUNK, chunkLength, ChunkReader } from "../src/sources/chunks.js";
import { BlobStore, Spool } from "../src/sources/spool.js";
import { sample } from "./server.js";

const content = sample(20 * CHUNK + 1234);

function reader() {
  const asked: number[] = [];
  const get = async (index: number) => {
    asked.push(index);
    const from = index * CHUNK;
    return content.slice(from, from + chunkLength(content.length, index));
  };
  return { asked, reader: new ChunkReader("model", content.length, get) };
}

test("any range is read, across chunks and up to the end", async () => {
  const { reader: source } = reader();
  for (const [offset, length] of [
    [0, 10],
    [CHUNK - 5, 10],
    [3 * CHUNK - 1, 2 * CHUNK + 2],
    [content.length - 7, 7],
    [5, 0],
  ] as const) {
    expect(Buffer.compare(await source.read(offset, length), content.subarray(offset, offset + length))).toBe(0);
  }
});

test("past the end is an error", async () => {
  const { reader: source } = reader();
  await expect(source.read(content.length - 1, 2)).rejects.toThrow("past the end of model");
});

test("two places read by turns fetch each chunk once", async () => {
  const { asked, reader: source } = reader();
  for (let at = 0; at < 6 * CHUNK; at += CHUNK / 2) {
    await source.read(at, 1000);
    await source.read(10 * CHUNK + at, 1000);
  }
  expect(asked.length).toBe(new Set(asked).size);
  // What lies ahead was asked for too, no more.
  expect(Math.max(...asked)).toBe(18);
});

test("what is read long after is fetched again, so that memory is bounded", async () => {
  const { asked, reader: source } = reader();
  for (let index = 0; index < 20; index++) await source.read(index * CHUNK, 1);
  await source.read(0, 1);
  expect(asked.filter((index) => index === 0)).toHaveLength(2);
});

test("a failure is passed on, remembered, and tried again", async () => {
  let fail = true;
  const source = new ChunkReader("model", 10, async () => {
    if (fail) throw new Error("no network");
    return content.slice(0, 10);
  });
  await expect(source.read(0, 5)).rejects.toThrow("no network");
  expect(source.failure).toMatchObject({ message: "no network" });
  fail = false;
  expect(await source.read(0, 5)).toEqual(content.slice(0, 5));
});

test("what comes in order, in pieces of any size, can be read while it comes", async () => {
  let go = () => {};
  const gate = new Promise<void>((resolve) => (go = resolve));
  async function* stream() {
    for (let at = 0; at < 3 * CHUNK; at += 777_777) {
      if (at > CHUNK + 777_777) await gate;
      yield content.subarray(at, Math.min(at + 777_777, 3 * CHUNK - 5));
    }
  }
  const spool = new Spool("model", stream(), new BlobStore());
  expect(Buffer.compare(await spool.chunk(0), content.subarray(0, CHUNK))).toBe(0);
  const last = spool.chunk(2);
  go();
  expect(Buffer.compare(await last, content.subarray(2 * CHUNK, 3 * CHUNK - 5))).toBe(0);
  expect(await spool.end).toBe(3 * CHUNK - 5);
});

test("a stream that fails fails its readers", async () => {
  async function* stream() {
    yield content.subarray(0, 10);
    throw new Error("gone");
  }
  const spool = new Spool("model", stream(), new BlobStore());
  await expect(spool.chunk(0)).rejects.toThrow("gone");
  await expect(spool.chunk(0)).rejects.toThrow("gone");
});
