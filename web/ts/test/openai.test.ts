import { expect, test } from "vitest";
import { load } from "../src/index.js";
import { chatRequest } from "../src/openai/chat.js";
import { completionRequest } from "../src/openai/completions.js";
import type { ChatCompletionRequest } from "../src/types.js";
import { sample } from "./server.js";
import { useFakePage, wasm } from "./setup.js";

useFakePage();
const blob = new File([sample(100)], "parrot.gguf");
const messages: ChatCompletionRequest["messages"] = [{ role: "user", content: "a b c" }];

test("every setting reaches the engine under its name", () => {
  const { settings } = chatRequest({
    messages,
    max_tokens: 5,
    max_completion_tokens: 7,
    stop: "x",
    seed: 3,
    temperature: 0.5,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.1,
    frequency_penalty: 0.2,
    presence_penalty: 0.3,
    repetition_penalty: 1.1,
    logit_bias: { "12": -100 },
    logprobs: true,
    top_logprobs: 2,
  });
  expect(settings).toEqual({
    maxTokens: 7,
    stop: ["x"],
    seed: 3,
    temperature: 0.5,
    topP: 0.9,
    topK: 40,
    minP: 0.1,
    frequencyPenalty: 0.2,
    presencePenalty: 0.3,
    repetitionPenalty: 1.1,
    logitBias: [[12, -100]],
    logprobs: 2,
  });
});

test("defaults are OpenAI's, null counts as absent, and the seed differs each time", () => {
  const { settings } = chatRequest({ messages, max_tokens: null, stop: null, temperature: null });
  expect(settings).toEqual({ temperature: 1, seed: expect.any(Number) });
  expect(chatRequest({ messages }).settings.seed).not.toBe(settings.seed);
});

test("messages reach the template as it knows them", async () => {
  const engine = await load(blob);
  const tools = [{ type: "function" as const, function: { name: "f" } }];
  await engine.chat.completions.create({
    messages: [
      { role: "developer", content: "rules" },
      { role: "user", content: [{ type: "text", text: "a " }, { type: "text", text: "b" }] },
      { role: "assistant", content: null, tool_calls: [] },
    ],
    tools,
  });
  expect(wasm.engines[0]!.rendered).toEqual({
    messages: [
      { role: "system", content: "rules" },
      { role: "user", content: "a b" },
      { role: "assistant", content: "", tool_calls: [] },
    ],
    tools,
  });
  await engine.unload();
});

test.each([
  [{ messages: [] }, "messages is []"],
  [{ messages: [{ role: "bot", content: "" }] }, 'messages[0].role is "bot"; it must be system,'],
  [{ messages: [{ role: "user" }] }, "messages[0].content is missing"],
  [{ messages, temperature: 3 }, "temperature is 3; it must be a number from 0 to 2"],
  [{ messages, temperature: NaN }, "temperature is NaN"],
  [{ messages, top_p: "1" }, 'top_p is "1"'],
  [{ messages, max_tokens: 0 }, "max_tokens is 0; it must be a whole number, 1 or more"],
  [{ messages, n: 2 }, "n is 2; it must be 1"],
  [{ messages, stop: [""] }, "stop is"],
  [{ messages, top_logprobs: 2 }, "top_logprobs needs logprobs: true"],
  [{ messages, logit_bias: { x: 1 } }, 'a token of logit_bias is "x"'],
  [{ messages, logit_bias: { 5: 101 } }, "logit_bias of token 5 is 101"],
  [{ messages, temprature: 1 }, "temprature is not a field of this request"],
  [{ messages, tools: "x" }, 'tools is "x"'],
])("%j is refused with its field's name", (body, message) => {
  expect(() => chatRequest(body as ChatCompletionRequest)).toThrow(message);
});

test.each([
  { messages, response_format: { type: "json_object" } },
  { messages, tool_choice: "required" },
  { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
])("what this version can't do says so: %j", (body) => {
  expect(() => chatRequest(body as unknown as ChatCompletionRequest)).toThrow(
    expect.objectContaining({ kind: "unsupported" }),
  );
});

test("what changes nothing may be passed", () => {
  chatRequest({ messages, model: "x", user: "y", n: 1, response_format: { type: "text" } } as ChatCompletionRequest);
});

test("a whole answer", async () => {
  const engine = await load(blob);
  const answer = await engine.chat.completions.create({ messages, logprobs: true, top_logprobs: 1 });
  expect(answer).toMatchObject({
    id: expect.stringMatching(/^chatcmpl-/),
    object: "chat.completion",
    model: "Parrot",
    choices: [{ index: 0, message: { role: "assistant", content: "a b c", refusal: null }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6, prompt_tokens_details: { cached_tokens: 2 } },
    timings: { prefill_tokens_per_second: 100, decode_tokens_per_second: 100 },
  });
  expect(answer.choices[0]!.logprobs!.content).toHaveLength(3);
  expect(answer.choices[0]!.logprobs!.content![1]).toEqual({
    token: "b ",
    bytes: [98, 32],
    logprob: -0.5,
    top_logprobs: [{ token: "a ", bytes: [97, 32], logprob: -1 }],
  });
  await engine.unload();
});

test("a streamed answer", async () => {
  const engine = await load(blob);
  const stream = await engine.chat.completions.create({
    messages,
    max_tokens: 2,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks.map(({ choices }) => choices[0]?.delta)).toEqual([
    { role: "assistant", content: "" },
    { content: "a " },
    { content: "b " },
    {},
    undefined,
  ]);
  expect(chunks.map(({ usage }) => usage?.completion_tokens)).toEqual([undefined, undefined, undefined, undefined, 2]);
  expect(chunks[3]).toMatchObject({ choices: [{ finish_reason: "length" }], timings: { decode_tokens: 2 } });
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  await engine.unload();
});

test("text completions, whole and streamed, of texts and of tokens", async () => {
  const engine = await load(blob);
  const answer = await engine.completions.create({ prompt: "a b c", logprobs: 1 });
  expect(answer).toMatchObject({
    object: "text_completion",
    choices: [
      {
        text: "a b c",
        finish_reason: "stop",
        logprobs: { tokens: ["a ", "b ", "c"], text_offset: [0, 2, 4], top_logprobs: [{ "a ": -1 }, { "a ": -1 }, { "a ": -1 }] },
      },
    ],
  });
  let text = "";
  for await (const chunk of await engine.completions.create({ prompt: [0, 1], stream: true })) {
    text += chunk.choices[0]?.text;
  }
  expect(text).toBe("a b ");
  await engine.unload();
  expect(() => completionRequest({ prompt: [] })).toThrow("prompt is []");
  expect(() => completionRequest({ prompt: "a", echo: true } as never)).toThrow("echo is not supported");
});
