import { expect, test } from "vitest";
import { listModels, load, planMemory } from "../src/index.js";
import type { EngineEvent, Progress, WispEngine } from "../src/types.js";
import { FakeError } from "./fake-wasm.js";
import { sample } from "./server.js";
import { useFakePage, wasm } from "./setup.js";

useFakePage();
const blob = new File([sample(100_000)], "parrot.gguf");

const chat = (engine: WispEngine, content: string, signal?: AbortSignal) =>
  engine.chat.completions.create({ messages: [{ role: "user", content }], stream: true }, signal ? { signal } : {});

async function text(stream: AsyncIterable<{ choices: { delta: { content?: string } }[] }>): Promise<string> {
  let out = "";
  for await (const chunk of stream) out += chunk.choices[0]?.delta.content ?? "";
  return out;
}

test("loads, answers, and gives everything back", async () => {
  const progress: Progress[] = [];
  const engine = await load(blob, { onProgress: (one) => progress.push(one) });
  expect(progress.map(({ phase }) => phase)).toEqual(["tune", "check", "compile", "weights", "ready"]);
  expect(progress[2]).toMatchObject({ loaded: 31, total: 46 });
  expect((await engine.info()).model.name).toBe("Parrot");
  const tokens = await engine.tokenize("one two three");
  expect(await engine.detokenize(tokens)).toBe("one two three");
  expect(await text(await chat(engine, "to be or not to be"))).toBe("to be or not to be");
  await engine.unload();
  expect(wasm.engines[0]!.unloaded).toBe(true);
  await expect(engine.stats()).rejects.toMatchObject({ kind: "input", message: expect.stringContaining("was unloaded") });
});

test("kernels are checked once, but by each version of a browser", async () => {
  const phases = async () => {
    const seen: string[] = [];
    const engine = await load(blob, { onProgress: ({ phase }) => seen.push(phase) });
    await engine.unload();
    return seen;
  };
  expect(await phases()).toContain("check");
  expect(await phases()).not.toContain("check");
  Object.assign(navigator, { userAgent: "another version" });
  expect(await phases()).toContain("check");
});

test("streams, sources and stored models load too", async () => {
  const bytes = sample(100_000);
  const stream = new Blob([bytes]).stream();
  await (await load(stream, { name: "streamed" })).unload();
  const source = { name: "mine", size: bytes.length, read: async (at: number, length: number) => bytes.subarray(at, at + length) };
  await (await load(source)).unload();
  const [model] = await listModels();
  expect(model).toMatchObject({ name: "streamed", complete: true });
  await (await load(model!)).unload();
  expect(await planMemory(source)).toMatchObject({ contextLength: 100 });
});

test("what a source throws is what load rejects with", async () => {
  const source = { name: "mine", size: 1000, read: () => Promise.reject(new Error("the disk is gone")) };
  await expect(load(source)).rejects.toMatchObject({ name: "WispError", message: "the disk is gone" });
  const short = { name: "mine", size: 1000, read: async () => new Uint8Array(3) };
  await expect(load(short)).rejects.toMatchObject({
    kind: "input",
    message: "the source mine gave 3 bytes at 0 where 1000 were asked for",
  });
});

test("errors of wasm keep their kind and text", async () => {
  wasm.read = async () => {
    throw new FakeError("memory", "1 GB is needed, 0.5 GB is there");
  };
  await expect(load(blob)).rejects.toMatchObject({ kind: "memory", message: "1 GB is needed, 0.5 GB is there" });
  wasm.read = async () => {};
  const engine = await load(blob);
  await expect(chat(engine, "word ".repeat(60))).rejects.toMatchObject({ kind: "input", message: "the prompt is too long" });
  await engine.unload();
});

test("an aborted load rejects at once, and leaves no engine", async () => {
  const controller = new AbortController();
  wasm.read = () => new Promise((resolve) => setTimeout(resolve, 50));
  const loading = load(blob, { signal: controller.signal });
  setTimeout(() => controller.abort(), 10);
  await expect(loading).rejects.toMatchObject({ name: "AbortError" });
  await expect.poll(() => wasm.engines[0]?.unloaded).toBe(true);
  await expect(load(blob, { signal: controller.signal })).rejects.toMatchObject({ name: "AbortError" });
});

test("an aborted stream rejects with an AbortError, and its request is cancelled", async () => {
  const engine = await load(blob);
  wasm.engines[0]!.pace = 5;
  const controller = new AbortController();
  const stream = await chat(engine, "a b c d e f g h", controller.signal);
  const reading = text(stream);
  setTimeout(() => controller.abort(), 12);
  await expect(reading).rejects.toMatchObject({ name: "AbortError" });
  await expect.poll(() => wasm.engines[0]!.running.size).toBe(0);
  await engine.unload();
});

test("leaving the loop cancels the request", async () => {
  const engine = await load(blob);
  wasm.engines[0]!.pace = 5;
  for await (const chunk of await chat(engine, "a b c d e f g h")) {
    if (chunk.choices[0]?.delta.content) break;
  }
  await expect.poll(() => wasm.engines[0]!.running.size).toBe(0);
  await engine.unload();
});

test("unloading ends what is being answered", async () => {
  const engine = await load(blob);
  wasm.engines[0]!.pace = 20;
  const reading = text(await chat(engine, "a b c d"));
  const failed = expect(reading).rejects.toMatchObject({ kind: "cancelled" });
  await engine.unload();
  await failed;
});

test("pieces that come fast come together", async () => {
  const engine = await load(blob);
  const messages: unknown[] = [];
  const post = MessagePort.prototype.postMessage;
  MessagePort.prototype.postMessage = function (this: MessagePort, message: { type: string }, ...rest: never[]) {
    if (message.type === "texts") messages.push(message);
    return (post as (...args: unknown[]) => void).call(this, message, ...rest);
  };
  try {
    const words = Array.from({ length: 40 }, (_, index) => `${index} `).join("");
    expect(await text(await chat(engine, words))).toBe(words);
  } finally {
    MessagePort.prototype.postMessage = post;
  }
  expect(messages.length).toBeLessThan(20);
  await engine.unload();
});

test("a lost device is told once, however many requests there are", async () => {
  const events: EngineEvent[] = [];
  const engine = await load(blob, { onEvent: (event) => events.push(event) });
  wasm.engines[0]!.pace = 5;
  const both = Promise.all([chat(engine, "a b").then(text), chat(engine, "c d").then(text)]);
  await new Promise((resolve) => setTimeout(resolve, 2));
  wasm.engines[0]!.destroyDevice();
  expect(await both).toEqual(["a b", "c d"]);
  expect(events[0]).toEqual({ type: "device-lost", message: "the driver was reset" });
  expect(events[1]).toEqual({ type: "device-restored" });
  await engine.unload();
});

test("wrong options and models name what is wrong", async () => {
  const refused = (promise: Promise<unknown>, message: string) =>
    expect(promise).rejects.toMatchObject({ kind: "input", message: expect.stringContaining(message) });
  await refused(load(blob, { contextLength: 0 }), "contextLength is 0; it must be a whole number, 1 or more");
  await refused(load(blob, { kv: "q5_0" as "q8_0" }), 'kv is "q5_0"; it must be "f32", "f16", "q8_0" or "q4_0"');
  await refused(load(blob, { ctx: 5 } as object), "ctx is not an option of load");
  await refused(load(blob, { sha256: "abc" }), "64 hexadecimal digits");
  await refused(load("ftp://host/model.gguf"), "it must be an http or https address");
  await refused(load(5 as unknown as string), "model is not something to load");
});
