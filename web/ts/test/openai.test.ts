import { expect, test } from "vitest";
import { load } from "../src/index.js";
import type { ChatCompletionRequest, CompletionRequest } from "../src/types.js";
import { sample } from "./server.js";
import { useFakePage, wasm } from "./setup.js";

useFakePage();
const blob = new File([sample(100)], "parrot.gguf");
const messages: ChatCompletionRequest["messages"] = [{ role: "user", content: "a b c" }];

test("requests reach Rust as they are, under OpenAI's paths", async () => {
  const engine = await load(blob);
  const chat = { messages, temperature: 0.5, stop: null, tools: [{ type: "function" as const, function: { name: "f" } }] };
  await engine.chat.completions.create(chat);
  const text = { prompt: "a b", seed: Number.MAX_SAFE_INTEGER, logit_bias: { "12": -100 } };
  await engine.completions.create(text);
  const { requests } = wasm.engines[0]!;
  expect(requests.map(({ endpoint, body }) => [endpoint, JSON.parse(body)])).toEqual([
    ["chat/completions", chat],
    ["completions", text],
  ]);
  expect(new Set(requests.map(({ unique }) => unique)).size).toBe(2);
  await engine.unload();
});

test("proxies are read through, and functions inside of tools left out", async () => {
  const engine = await load(blob);
  const tools = [new Proxy({ type: "function", function: { name: "f" }, run: () => 1 }, {})];
  await engine.chat.completions.create(new Proxy({ messages, tools, stream: false } as ChatCompletionRequest & { stream: false }, {}));
  expect(JSON.parse(wasm.engines[0]!.requests[0]!.body)).toEqual({
    messages,
    tools: [{ type: "function", function: { name: "f" } }],
    stream: false,
  });
  await engine.unload();
});

test.each([
  [undefined, "body is missing; it must be an object"],
  [[1], "body is [1]; it must be an object"],
  [{ prompt: "a", temperature: NaN }, "temperature is NaN; it must be a number that JSON has"],
  [{ prompt: "a", logit_bias: { 5: -Infinity } }, "5 is -Infinity"],
  [{ prompt: "a", temperature: () => 1 }, "temperature is a function; it must be plain data"],
  [{ prompt: "a", seed: 5n }, "the request can't be written as JSON"],
])("what JSON would drop is refused: %#", async (body, message) => {
  const engine = await load(blob);
  await expect(engine.completions.create(body as unknown as CompletionRequest)).rejects.toMatchObject({
    kind: "input",
    message: expect.stringContaining(message),
  });
  expect(wasm.engines[0]!.requests).toEqual([]);
  await engine.unload();
});

test("a whole answer, and a stream of chunks", async () => {
  const engine = await load(blob);
  const answer = await engine.chat.completions.create({ messages });
  expect(answer.choices[0]!.message.content).toBe("a b c");
  const texts = [];
  for await (const { choices } of await engine.chat.completions.create({ messages, max_tokens: 2, stream: true })) {
    texts.push(choices[0]!.delta.content);
  }
  expect(texts).toEqual(["a ", "b "]);
  await engine.unload();
});
