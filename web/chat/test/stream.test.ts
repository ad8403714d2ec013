import type { ChatCompletionChunk, Timings } from "wisp-llm";
import { expect, it } from "vitest";
import { begin, nextSentences, reduce, type StreamEvent, toMessage } from "../src/stream";

type Choice = ChatCompletionChunk["choices"][number];

function chunk(at: number, content: string | null, more: Partial<ChatCompletionChunk> & { finish?: Choice["finish_reason"] } = {}): StreamEvent {
  const { finish = null, ...rest } = more;
  const delta = content === null ? {} : { content };
  const choices: Choice[] = rest.usage ? [] : [{ index: 0, delta, logprobs: null, finish_reason: finish }];
  return { type: "chunk", at, chunk: { id: "1", object: "chat.completion.chunk", created: 0, model: "m", choices, ...rest } };
}

const run = (...events: StreamEvent[]) => events.reduce(reduce, begin(1000));

it("adds pieces, and measures the first token and the speed", () => {
  const live = run(chunk(1000, null), chunk(1200, "Be"), chunk(1300, "cause"), chunk(1400, "."));
  expect(live).toMatchObject({ text: "Because.", tokens: 3, first: 1200, finish: null });
  // Two tokens after the first, in 200 ms.
  expect(live.tokensPerSecond).toBe(10);
});

it("takes the engine's own figures at the end", () => {
  const timings = { decode_tokens: 9, decode_tokens_per_second: 42 } as Timings;
  const usage = { prompt_tokens: 7, completion_tokens: 10, total_tokens: 17, prompt_tokens_details: { cached_tokens: 0 } };
  const live = run(chunk(1200, "Because."), chunk(1300, null, { finish: "length", timings }), chunk(1300, null, { usage }));
  expect(toMessage(live, "m")).toEqual({
    role: "assistant",
    text: "Because.",
    stats: { model: "m", finish: "length", tokens: 10, promptTokens: 7, firstTokenMs: 200, tokensPerSecond: 42 },
  });
});

it("keeps what was written before it was stopped or failed", () => {
  const stopped = toMessage(run(chunk(1200, "Be"), { type: "stopped" }), "m");
  expect(stopped).toMatchObject({ text: "Be", stats: { finish: "stopped" } });
  const failed = toMessage(run(chunk(1200, "Be"), { type: "failed", kind: "device", message: "Gone." }), "m");
  expect(failed).toMatchObject({ text: "Be", stats: { finish: "interrupted", error: { kind: "device", message: "Gone." } } });
});

it("knows of a lost device until it is back or the text goes on", () => {
  expect(run({ type: "lost" }).lost).toBe(true);
  expect(run({ type: "lost" }, { type: "restored" }).lost).toBe(false);
  expect(run({ type: "lost" }, chunk(1500, "on")).lost).toBe(false);
});

it("leaves an unfinished answer marked as interrupted", () => {
  expect(toMessage(run(chunk(1200, "Be")), "m").stats?.finish).toBe("interrupted");
});

it("tells whole sentences once, and the rest at the end", () => {
  const text = "One is 1.5 long. Two! Thr";
  const first = nextSentences(text, 0, false);
  expect(first).toEqual({ say: "One is 1.5 long. Two!", said: 22 });
  expect(nextSentences(`${text}e`, first.said, false)).toEqual({ say: "", said: 22 });
  expect(nextSentences(`${text}ee`, first.said, true)).toEqual({ say: "Three", said: 27 });
});
