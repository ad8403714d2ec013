// Where the engine can run: in the page, in an application's own worker, inside a worker, in a
// service worker. (In a worker of ours: engine.test.ts.)

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Browser } from "../src/browser.js";
import { generate } from "../src/native.js";

// One token: software GPUs take long to compile the kernels of longer prompts.
const PROMPT = "The";
const TOKENS = 2;

let browser: Browser;
let page: Page;
let expected: string;

beforeAll(async () => {
  browser = await Browser.start();
  page = await browser.open();
  expected = (await generate(PROMPT, TOKENS)).text;
});

afterAll(() => browser.stop());

const task = () => ({ model: browser.server.model, prompt: PROMPT, tokens: TOKENS });

test("in the page itself, without disturbing others who use the GPU there", async () => {
  const { text, untouched, features } = await page.evaluate(async ({ model, prompt, tokens }) => {
    const original = GPUAdapter.prototype.requestDevice;
    const engine = await wisp.load(model, { worker: false, contextLength: 256 });
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter!.requestDevice();
    const features = [...device.features];
    device.destroy();
    const { text } = await greedy(engine, prompt, tokens);
    await engine.unload();
    return { text, untouched: GPUAdapter.prototype.requestDevice === original, features };
  }, task());
  expect(text).toBe(expected);
  expect(untouched).toBe(true);
  expect(features).not.toContain("subgroups");
});

test("in a worker of the application, which goes on with its own work", async () => {
  const { text, pong } = await page.evaluate(async ({ model, prompt, tokens }) => {
    const worker = new Worker("/given-worker.js", { type: "module" });
    const engine = await wisp.load(model, { worker, contextLength: 256 });
    const pong = new Promise((resolve) => worker.addEventListener("message", ({ data }) => data === "pong" && resolve(data)));
    worker.postMessage("ping");
    const { text } = await greedy(engine, prompt, tokens);
    await engine.unload();
    return { text, pong: await pong };
  }, task());
  expect({ text, pong }).toEqual({ text: expected, pong: "pong" });
});

test("a worker that lacks the engine is told what to import", async () => {
  const error = await page.evaluate(async ({ model }) => failure(wisp.load(model, { worker: new Worker("/nothing.js") })), task());
  expect(error).toMatchObject({ name: "WispError" });
});

test("inside a worker", async () => {
  const answer = await page.evaluate(async (task) => {
    const worker = new Worker("/inside-worker.js", { type: "module" });
    return new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage(task);
    });
  }, task());
  expect(answer).toEqual({ text: expected });
});

test("in a service worker", async () => {
  const answer = await page.evaluate(async (task) => {
    await navigator.serviceWorker.register("/service-worker.js", { type: "module" });
    const { active } = await navigator.serviceWorker.ready;
    const { port1, port2 } = new MessageChannel();
    return new Promise((resolve) => {
      port1.onmessage = ({ data }) => resolve(data);
      active!.postMessage(task, [port2]);
    });
  }, task());
  expect(answer).toEqual({ text: expected });
});
