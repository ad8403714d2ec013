import { afterEach, expect, test } from "vitest";
import { probe, range, sequence } from "../src/sources/http.js";
import { FileServer, sample } from "./server.js";

const RETRY = { tries: 4, wait: 5 };
const never = new AbortController().signal;
const content = sample(300_000);
let server: FileServer;

afterEach(() => server.stop());

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

test("a server with ranges gives any range", async () => {
  server = await FileServer.start(content);
  const file = await probe(server.url, never);
  expect(file).toMatchObject({ size: 300_000, ranges: true, tag: '"1"' });
  expect(await range(file, 1000, 5000, never)).toEqual(content.slice(1000, 6000));
});

test("where Content-Range can't be read, HEAD tells the size", async () => {
  server = await FileServer.start(content, { hideSize: true });
  expect(await probe(server.url, never)).toMatchObject({ size: 300_000, ranges: true });
  expect(server.requests.map((request) => request.method)).toEqual(["GET", "HEAD"]);
});

test("a broken connection is resumed where it broke", async () => {
  server = await FileServer.start(content, { breakAfter: 40_000, breaks: 3 });
  const file = await probe(server.url, never);
  let counted = 0;
  const bytes = await range(file, 10, 200_000, never, (count) => (counted += count), RETRY);
  expect(bytes).toEqual(content.slice(10, 200_010));
  expect(counted).toBe(200_000);
  expect(server.requests.at(-1)!.range).toBe("bytes=120010-200009");
});

test("a server that is busy for a while is asked again, one that stays so is an error", async () => {
  server = await FileServer.start(content);
  const file = await probe(server.url, never);
  server.behaviour = { ...server.behaviour, status: 503, refusals: 2 };
  expect(await range(file, 0, 10, never, undefined, RETRY)).toHaveLength(10);
  server.behaviour.refusals = Infinity;
  await expect(range(file, 0, 10, never, undefined, RETRY)).rejects.toMatchObject({
    kind: "network",
    message: expect.stringContaining("answered 503"),
  });
});

test("a wrong address is an error at once", async () => {
  server = await FileServer.start(content, { status: 404 });
  await expect(probe(server.url, never)).rejects.toMatchObject({
    name: "WispError",
    kind: "network",
    message: `${server.url} answered 404 (Not Found): check the address`,
  });
  expect(server.requests).toHaveLength(1);
});

test("nobody there is an error that names the address", async () => {
  server = await FileServer.start(content);
  const { url } = server;
  await server.stop();
  await expect(probe(url, never, RETRY)).rejects.toMatchObject({
    kind: "network",
    message: expect.stringContaining(url),
  });
});

test("a file that changes midway is noticed, by its ETag and by its size", async () => {
  server = await FileServer.start(content);
  const file = await probe(server.url, never);
  server.behaviour.etag = '"2"';
  await expect(range(file, 0, 10, never)).rejects.toThrow("was changed on the server");
  server.behaviour.etag = '"1"';
  server.content = sample(299_999);
  await expect(range(file, 0, 10, never)).rejects.toThrow("was changed on the server");
});

test("a server that stops giving ranges is noticed", async () => {
  server = await FileServer.start(content);
  const file = await probe(server.url, never);
  server.behaviour.ranges = false;
  await expect(range(file, 5, 10, never)).rejects.toThrow("was changed on the server");
});

test("without ranges the file comes in order, through a broken connection too", async () => {
  server = await FileServer.start(content, { ranges: false, breakAfter: 100_000, breaks: 1 });
  server.behaviour.breaks = 0;
  const file = await probe(server.url, never);
  expect(file).toMatchObject({ size: 300_000, ranges: false });
  server.behaviour.breaks = 1;
  let counted = 0;
  const bytes = await collect(sequence(file, never, (count) => (counted += count), RETRY));
  expect(Buffer.compare(bytes, content)).toBe(0);
  expect(counted).toBe(300_000);
});

test("an abort ends a request with its reason, and waiting for the next try", async () => {
  server = await FileServer.start(content);
  const file = await probe(server.url, never);
  server.behaviour.status = 503;
  const controller = new AbortController();
  const reading = range(file, 0, 10, controller.signal, undefined, { tries: 9, wait: 60_000 });
  setTimeout(() => controller.abort(), 30);
  await expect(reading).rejects.toMatchObject({ name: "AbortError" });
});
