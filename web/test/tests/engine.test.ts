// One model on the page, through all that an engine does.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Browser } from "../src/browser.js";
import { generate } from "../src/native.js";
import { print } from "../src/print.js";

const PROMPTS = ["The capital of France is", "Once upon a time, there was a little", "1, 2, 3, 4,"];
const TOKENS = 8;

let browser: Browser;
let page: Page;

beforeAll(async () => {
  browser = await Browser.start({ fresh: true });
  page = await browser.open();
});

afterAll(() => browser.stop());

test("loads from a URL into a worker, telling how far it is", async () => {
  const { phases, downloaded, seconds } = await page.evaluate(async (url) => {
    const phases: string[] = [];
    let downloaded = 0;
    const start = performance.now();
    globalThis.engine = await wisp.load(url, {
      contextLength: 512,
      onProgress: ({ phase, loaded }) => {
        phases.push(phase);
        if (phase === "download") downloaded = loaded;
      },
    });
    return { phases: [...new Set(phases)], downloaded, seconds: (performance.now() - start) / 1000 };
  }, browser.server.model);
  expect(phases).toEqual(expect.arrayContaining(["download", "check", "compile", "weights", "ready"]));
  expect(downloaded).toBeGreaterThan(98e6);
  print(`first load: ${seconds.toFixed(1)} s`);
});

test("says which adapter runs, and what it takes", async () => {
  const info = await page.evaluate(() => engine.info());
  expect(info.features).toMatchObject({ subgroups: true, f16: false });
  expect(info.variant).toBe("subgroup f32");
  expect(info.memory.contextLength).toBe(512);
  expect(info.memory.total).toBe(info.memory.weights + info.memory.kv + info.memory.scratch);
  const { heapBytes } = await page.evaluate(() => engine.stats());
  expect(heapBytes).toBeLessThanOrEqual(64 << 20);
  print(`adapter: ${JSON.stringify(info.adapter)}, ${info.variant}; wasm heap ${(heapBytes / 2 ** 20).toFixed(0)} MiB`);
});

test.each(PROMPTS)("continues %j as the native program does", async (prompt) => {
  const native = await generate(prompt, TOKENS);
  const answer = await page.evaluate(([prompt, tokens]) => greedy(engine, prompt, tokens), [prompt, TOKENS] as const);
  expect(answer).toMatchObject({ text: native.text, tokens: native.tokens.length });
  const { decode_tokens_per_second: decode, prefill_ms } = answer.timings;
  print(`first token after ${(prefill_ms / 1000).toFixed(1)} s, then ${decode.toFixed(2)} tokens/s`);
});

test("tokenizes as the native program does, and back", async () => {
  const native = await generate(PROMPTS[0]!, 1);
  const [tokens, text] = await page.evaluate(async (prompt) => {
    const tokens = await engine.tokenize(prompt);
    return [tokens, await engine.detokenize(tokens)] as const;
  }, PROMPTS[0]!);
  expect(tokens).toEqual(native.prompt_tokens);
  expect(text).toBe(PROMPTS[0]);
});

test("answers a chat, with how likely each token was", async () => {
  const { whole, chunks } = await page.evaluate(async () => {
    const body = {
      messages: [{ role: "user" as const, content: "Say hello." }],
      temperature: 0,
      max_tokens: 4,
      logprobs: true,
      top_logprobs: 2,
    };
    const whole = await engine.chat.completions.create(body);
    const chunks = [];
    const stream = await engine.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) chunks.push(chunk);
    return { whole, chunks };
  });
  const content = whole.choices[0]!.message.content;
  expect(content).toMatch(/^Hello/);
  expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).toBe(content);
  expect(chunks.at(-1)!.usage!.completion_tokens).toBe(whole.usage.completion_tokens);
  const tokens = whole.choices[0]!.logprobs!.content!;
  expect(tokens.map(({ token }) => token).join("")).toContain(content);
  for (const { logprob, token, top_logprobs } of tokens) {
    expect(logprob).toBeLessThanOrEqual(0);
    // Greedy: the likeliest of all is the one that was taken.
    expect(top_logprobs[0]).toMatchObject({ token });
    expect(top_logprobs[0]!.logprob).toBeCloseTo(logprob, 4);
    expect(top_logprobs).toHaveLength(2);
  }
});

test("what is wrong in a request is named by its path", async () => {
  const errors = await page.evaluate(async () => {
    const messages = [{ role: "user", content: "Hi" }];
    const chats: object[] = [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
      { messages, temperature: 3 },
      { messages, stream: true, temprature: 1 },
      { messages, response_format: { type: "json_object" } },
    ];
    const texts: object[] = [{ prompt: [] }, { prompt: "a", logit_bias: { 5: 101 } }];
    return [
      ...(await Promise.all(chats.map((body) => failure(engine.chat.completions.create(body as never))))),
      ...(await Promise.all(texts.map((body) => failure(engine.completions.create(body as never))))),
    ].map((error) => `${error?.name}, ${error?.kind}: ${error?.message}`);
  });
  expect(errors).toEqual([
    'WispError, unsupported: messages[0].content[0] is of type "image_url"; this version takes text only',
    "WispError, input: temperature is 3; it must be a number from 0 to 2",
    "WispError, input: temprature is not a field of this request",
    "WispError, unsupported: response_format is not supported by this version: leave it out",
    "WispError, input: prompt is []; it must be one text, or one list of token ids",
    "WispError, input: logit_bias.5 is 101; it must be a number from -100 to 100",
  ]);
});

test("the same seed gives the same text, sampled", async () => {
  const texts = await page.evaluate(async () => {
    const ask = async (seed: number) => {
      const body = { prompt: "My favourite", max_tokens: 5, temperature: 1, top_k: 50, seed };
      return (await engine.completions.create(body)).choices[0]!.text;
    };
    return [await ask(1), await ask(1), await ask(2)];
  });
  expect(texts[0]).toBe(texts[1]);
  expect(texts[2]).not.toBe(texts[0]);
});

test("requests at the same time share steps and don't disturb each other", async () => {
  const alone = await page.evaluate(async ([one, two]) => {
    return [await streamed(engine, one!, 6), await streamed(engine, two!, 6)];
  }, PROMPTS);
  const { together, order } = await page.evaluate(async ([one, two]) => {
    const order: number[] = [];
    const run = (prompt: string, which: number) => streamed(engine, prompt, 6, {}, () => order.push(which));
    return { together: await Promise.all([run(one!, 0), run(two!, 1)]), order };
  }, PROMPTS);
  expect(together).toEqual(alone);
  // Neither waited for the other's end.
  expect(order.indexOf(1)).toBeLessThan(order.lastIndexOf(0));
});

test("an abort ends decoding, and prefill, at once; the engine goes on", async () => {
  const results = await page.evaluate(async () => {
    const aborted = async (prompt: string, after: number) => {
      const controller = new AbortController();
      let pieces = 0;
      const onText = () => {
        pieces += 1;
        if (pieces === 2) controller.abort();
      };
      if (after) setTimeout(() => controller.abort(), after);
      const start = performance.now();
      const error = await failure(streamed(engine, prompt, 100, { signal: controller.signal }, onText));
      return { error, pieces, ms: performance.now() - start };
    };
    const decode = await aborted("Once upon a time", 0);
    const prefill = await aborted("word ".repeat(80), 300);
    // Steps that were under way come to their end.
    const end = performance.now() + 60_000;
    while ((await engine.stats()).requests > 0 && performance.now() < end) await new Promise((go) => setTimeout(go, 50));
    return { decode, prefill, requests: (await engine.stats()).requests };
  });
  expect(results.decode).toMatchObject({ error: { name: "AbortError" }, pieces: 2 });
  expect(results.prefill).toMatchObject({ error: { name: "AbortError" }, pieces: 0 });
  expect(results.prefill.ms).toBeLessThan(1000);
  expect(results.requests).toBe(0);
});

test("leaving the loop cancels the request", async () => {
  const requests = await page.evaluate(async () => {
    for await (const chunk of await engine.completions.create({ prompt: "One day", max_tokens: 100, stream: true })) {
      if (chunk.choices[0]!.text) break;
    }
    const end = performance.now() + 60_000;
    while ((await engine.stats()).requests > 0 && performance.now() < end) await new Promise((go) => setTimeout(go, 50));
    return (await engine.stats()).requests;
  });
  expect(requests).toBe(0);
});

test("errors name what is wrong", async () => {
  const errors = await page.evaluate(async () => [
    await failure(engine.completions.create({ prompt: "x ".repeat(2000), max_tokens: 1 })),
    await failure(engine.completions.create({ prompt: [1e9], max_tokens: 1 })),
    await failure(engine.chat.completions.create({ messages: [{ role: "user", content: "Hi" }], temperature: 9 })),
  ]);
  expect(errors[0]).toMatchObject({ name: "WispError", kind: "input", message: expect.stringContaining("512") });
  expect(errors[1]).toMatchObject({ name: "WispError", kind: "input" });
  expect(errors[2]).toMatchObject({ message: "temperature is 9; it must be a number from 0 to 2" });
});

test("no task on the page's thread took longer than 50 ms", async () => {
  const tasks = await page.evaluate(() => longTasks);
  print(`long tasks on the page's thread: ${tasks.length ? tasks.map((ms) => `${ms} ms`).join(", ") : "none"}`);
  expect(tasks).toEqual([]);
});

test("unloading gives the memory back, and says so to whoever asks again", async () => {
  const error = await page.evaluate(async () => {
    await engine.unload();
    return failure(engine.stats());
  });
  expect(error).toMatchObject({ kind: "input", message: "this engine was unloaded: load the model again" });
});

test("measures kernel parameters once, with the same tokens after it", async () => {
  const native = await generate(PROMPTS[0]!, TOKENS);
  const [first, second] = await page.evaluate(async ([url, prompt, tokens]) => {
    const load = async () => {
      const phases: string[] = [];
      const onProgress = ({ phase }: { phase: string }) => phases.push(phase);
      const engine = await wisp.load(url, { contextLength: 512, autotune: true, onProgress });
      const { text } = await greedy(engine, prompt, tokens);
      await engine.unload();
      return { phases, text };
    };
    return [await load(), await load()] as const;
  }, [browser.server.model, PROMPTS[0]!, TOKENS] as const);
  expect(first.phases).toContain("tune");
  expect(second.phases).not.toContain("tune");
  expect([first.text, second.text]).toEqual([native.text, native.text]);
});

test("draft tokens from the text give the same tokens", async () => {
  const prompt = "red, green, blue, red, green, blue, red, green, blue, red,";
  const native = await generate(prompt, 16);
  const answer = await page.evaluate(async ([url, prompt]) => {
    globalThis.engine = await wisp.load(url!, { contextLength: 512, lookup: true });
    const answer = await greedy(engine, prompt!, 16);
    await engine.unload();
    return answer;
  }, [browser.server.model, prompt]);
  expect(answer).toMatchObject({ text: native.text, tokens: native.tokens.length });
  const { decode_tokens_per_second: decode, accepted_draft_tokens } = answer.timings;
  expect(accepted_draft_tokens).toBeGreaterThan(0);
  print(`${accepted_draft_tokens} of 16 tokens were drafts, ${decode.toFixed(2)} tokens/s`);
});
