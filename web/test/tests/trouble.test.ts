// A GPU that goes away, memory that isn't there, browsers that can't.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Browser, SWIFTSHADER } from "../src/browser.js";

// One token: software GPUs take long to compile the kernels of longer prompts.
const PROMPT = "Once";

let browser: Browser;
let page: Page;

beforeAll(async () => {
  browser = await Browser.start();
  page = await browser.open();
});

afterAll(() => browser.stop());

test("a device that is lost in the middle of answers is set up again, and the answers go on", async () => {
  const result = await page.evaluate(
    async ([url, prompt]) => {
      const events: string[] = [];
      const engine = await wisp.load(url, { contextLength: 256, onEvent: ({ type }) => events.push(type) });
      const expected = await streamed(engine, prompt, 8);
      let pieces = 0;
      const onText = () => {
        pieces += 1;
        if (pieces === 3) void testing(engine).destroyDevice();
      };
      const text = await streamed(engine, prompt, 8, {}, onText);
      const after = await streamed(engine, prompt, 2);
      await engine.unload();
      return { events, expected, text, after };
    },
    [browser.server.model, PROMPT] as const,
  );
  expect(result.text).toBe(result.expected);
  expect(result.expected.startsWith(result.after)).toBe(true);
  expect(result.events.filter((type) => type !== "note")).toEqual(["device-lost", "device-restored"]);
});

test("a context that can't fit is refused with the numbers, and a smaller one works", async () => {
  const { error, answer } = await page.evaluate(
    async ([url, prompt]) => {
      const limit = { memoryLimit: 150e6 };
      const error = await failure(wisp.load(url, { ...limit, contextLength: 8192 }));
      const engine = await wisp.load(url, { ...limit, contextLength: 128 });
      const answer = await greedy(engine, prompt, 2);
      await engine.unload();
      return { error, answer };
    },
    [browser.server.model, PROMPT] as const,
  );
  expect(error).toMatchObject({ name: "WispError", kind: "memory", message: expect.stringMatching(/8192/) });
  expect(answer.tokens).toBe(2);
});

test("a model that can't fit is refused before the download", async () => {
  const { server } = browser;
  await page.evaluate(async () => {
    for (const { id } of await wisp.listModels()) await wisp.deleteModel(id);
  });
  server.forget();
  const error = await page.evaluate(
    async (url) => failure(wisp.load(url, { memoryLimit: 10e6 })),
    server.model,
  );
  expect(error).toMatchObject({ kind: "memory" });
  expect(server.asked.length).toBeLessThan(8);
});

test("a chat template that recurses without end is refused as that, and the engine goes on", async () => {
  const { error, text } = await page.evaluate(
    async ([url, prompt]) => {
      const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
      const key = "tokenizer.chat_template";
      // Behind the key: the type, the length, the text.
      const at = new TextDecoder("latin1").decode(bytes.subarray(0, 4e6)).indexOf(key) + key.length + 4;
      const length = Number(new DataView(bytes.buffer).getBigUint64(at, true));
      const template = "{% macro f(x) %}{{ f([x]) }}{% endmacro %}{{ f(1) }}".padEnd(length);
      bytes.set(new TextEncoder().encode(template), at + 8);
      const engine = await wisp.load(new Blob([bytes]), { contextLength: 256 });
      const error = await failure(engine.chat.completions.create({ messages: [{ role: "user", content: "Hi" }] }));
      const { text } = await greedy(engine, prompt, 1);
      await engine.unload();
      return { error, text };
    },
    [browser.server.model, PROMPT] as const,
  );
  expect(error).toMatchObject({ kind: "input", message: expect.stringContaining("chat template") });
  expect(text).not.toBe("");
});

test.each([
  ["no-adapter", [], ""],
  ["no-webgpu", SWIFTSHADER, "delete Navigator.prototype.gpu"],
])("%s is an error that says what to do", async (kind, args, script) => {
  const lacking = await Browser.start({ args });
  try {
    if (script) await lacking.context.addInitScript(script);
    const page = await lacking.open();
    const { support, error } = await page.evaluate(
      // In the page: a script of ours reaches no worker.
      async (url) => ({ support: await wisp.checkSupport(), error: await failure(wisp.load(url, { worker: false })) }),
      lacking.server.model,
    );
    expect(support).toMatchObject({ ok: false, kind, advice: expect.stringMatching(/.{10}/) });
    expect(error).toMatchObject({ name: "WispError", kind, message: expect.stringContaining((support as { advice: string }).advice) });
    // Nothing was downloaded for nothing.
    expect(lacking.server.asked).toEqual([]);
  } finally {
    await lacking.stop();
  }
});
