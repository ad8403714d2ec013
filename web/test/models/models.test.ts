// Larger models, from their packages: `cargo xtask web --models` fetches them and runs this.

import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { Browser } from "../src/browser.js";
import { generate } from "../src/native.js";
import { DIST, MODELS, PAGES } from "../src/paths.js";
import { print } from "../src/print.js";
import { POLICY, TestServer } from "../src/server.js";
import { shipped, visit } from "../src/shipped.js";

const CASES = [
  // A base model: what it says to a question is a continued dialogue.
  { id: "gemma3-270m", prompt: "The capital of France is", question: "What is the capital of France?", answer: /Paris/ },
  {
    id: "qwen2.5-coder-1.5b",
    prompt: "def add(a, b):",
    question: "What is the capital of France? Answer in one word.",
    answer: /Paris/,
  },
];
const TOKENS = 6;

let browser: Browser;
afterEach(() => browser?.stop());

test.each(CASES)("$id continues a text as the native program does", { timeout: 1_800_000 }, async ({ id, prompt }) => {
  const file = join(MODELS(), `${id}.gguf`);
  const native = await generate(prompt, TOKENS, file);
  browser = await Browser.start({ server: await TestServer.start({ "/pkg/": DIST, "/": PAGES }, POLICY, { "/model.gguf": file }) });
  const page = await browser.open();
  const start = performance.now();
  await page.evaluate(async () => {
    globalThis.engine = await wisp.load(new URL("/model.gguf", location.href).href, { contextLength: 512 });
  });
  const seconds = (performance.now() - start) / 1000;
  const answer = await page.evaluate(([prompt, tokens]) => greedy(engine, prompt, tokens), [prompt, TOKENS] as const);
  expect(answer).toMatchObject({ text: native.text, tokens: native.tokens.length });
  const { heapBytes } = await page.evaluate(() => engine.stats());
  const { decode_tokens_per_second: decode, prefill_ms } = answer.timings;
  print(
    `${id}: loaded in ${seconds.toFixed(1)} s; wasm heap ${(heapBytes / 2 ** 20).toFixed(0)} MiB; first token after ` +
      `${(prefill_ms / 1000).toFixed(1)} s, then ${decode.toFixed(2)} tokens/s; ${JSON.stringify(answer.text)}`,
  );
  expect(heapBytes).toBeLessThanOrEqual(100 << 20);
});

test.each(CASES)("$id answers on the chat page", { timeout: 1_800_000 }, async ({ id, question, answer }) => {
  browser = await Browser.start({ server: await shipped(id, join(MODELS(), `${id}.gguf`)) });
  const person = await visit(browser);
  await person.button("Settings").click();
  await person.page.getByLabel("Longest answer", { exact: true }).fill("8");
  await person.page.getByLabel("Temperature", { exact: true }).fill("0");
  await person.closeDialog();
  await person.start();
  const heard = await person.hear(question);
  print(`${id} on the page: ${JSON.stringify(heard)}`);
  expect(heard).toMatch(answer);
  expect(person.errors).toEqual([]);
});
