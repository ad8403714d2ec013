// What is given up, at whatever point: nothing half done is taken for whole, nothing stays behind,
// nothing waits for ever.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Browser } from "../src/browser.js";

// One token: software GPUs take long to compile the kernels of longer prompts.
const PROMPT = "Once";

let browser: Browser;
let page: Page;

beforeAll(async () => {
  browser = await Browser.start();
  page = await browser.open();
});

afterAll(() => browser.stop());

test.each(["aborts", "ends its stream, and aborts"])("a stream whose caller %s is never taken for a whole model", async (how) => {
  const { errors, models, folders } = await page.evaluate(
    async ([url, how]) => {
      const bytes = await (await fetch(url)).arrayBuffer();
      const pieces = Math.ceil(bytes.byteLength / 2 ** 22);
      const errors = [];
      for (const point of [0, 1, 2, Math.floor(pieces / 2), pieces - 1]) {
        const controller = new AbortController();
        let pulled = 0;
        const stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
          {
            async pull(stream) {
              if (pulled === point) {
                if (how !== "aborts") stream.close();
                return controller.abort();
              }
              // In its own time, as from a network.
              await new Promise((resolve) => setTimeout(resolve));
              stream.enqueue(new Uint8Array(bytes.slice(pulled * 2 ** 22, (pulled + 1) * 2 ** 22)));
              pulled += 1;
            },
          },
          { highWaterMark: 0 },
        );
        errors.push(await failure(wisp.load(stream, { name: "streamed", signal: controller.signal })));
      }
      await until(async () => (await storedFolders()).length === 0);
      return { errors, models: await wisp.listModels(), folders: await storedFolders() };
    },
    [browser.server.model, how] as const,
  );
  expect(errors.map((error) => error?.name)).toEqual(Array(5).fill("AbortError"));
  expect(models).toEqual([]);
  expect(folders).toEqual([]);
});

test("what a closed tab leaves behind goes when room is counted", async () => {
  const other = await browser.open();
  await other.evaluate(async () => {
    let pulled = 0;
    const stream = new ReadableStream<Uint8Array>(
      {
        async pull(stream) {
          if (pulled++ < 10) stream.enqueue(new Uint8Array(2 ** 22));
          else await new Promise(() => {});
        },
      },
      { highWaterMark: 0 },
    );
    void wisp.load(stream);
    await until(() => pulled > 10);
  });
  expect(await page.evaluate(async () => (await wisp.quota(), storedFolders()))).toHaveLength(1);
  await other.close();
  const folders = await page.evaluate(async () => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("wisp-llm");
    await root.getDirectoryHandle("a folder without a manifest", { create: true });
    await until(async () => (await wisp.quota(), (await storedFolders()).length === 0), 10_000).catch(() => {});
    return storedFolders();
  });
  expect(folders).toEqual([]);
});

test("errors of a worker's other code are not the engine's", async () => {
  const { text, uncaught } = await page.evaluate(
    async ([url, prompt]) => {
      const worker = new Worker("/given-worker.js", { type: "module" });
      const engine = await wisp.load(url, { worker, contextLength: 256 });
      const uncaught = new Promise<string>((resolve) =>
        worker.addEventListener("error", (event) => (event.preventDefault(), resolve(event.message))),
      );
      worker.postMessage("throw");
      await uncaught;
      const { text } = await greedy(engine, prompt, 1);
      await engine.unload();
      worker.terminate();
      return { text, uncaught: await uncaught };
    },
    [browser.server.model, PROMPT] as const,
  );
  expect(uncaught).toContain("a mistake of the application's own");
  expect(text).not.toBe("");
});

test("an abort that comes when the load is done leaves no engine in a given worker", async () => {
  const error = await page.evaluate(async (url) => {
    const worker = new Worker("/given-worker.js", { type: "module" });
    const controller = new AbortController();
    const onProgress = ({ phase }: { phase: string }) => phase === "ready" && controller.abort();
    const error = await failure(wisp.load(url, { worker, contextLength: 256, signal: controller.signal, onProgress }));
    const [model] = await wisp.listModels();
    // Refused as long as an engine uses it.
    await until(async () => !(await failure(wisp.deleteModel(model!.id))), 10_000);
    worker.terminate();
    return error;
  }, browser.server.model);
  expect(error).toMatchObject({ name: "AbortError" });
});

test.each([true, false])("unloading ends what is being answered (in a worker: %s)", async (worker) => {
  const errors = await page.evaluate(
    async ([url, prompt, worker]) => {
      const engine = await wisp.load(url, { worker, contextLength: 256 });
      let pieces = 0;
      const streaming = failure(streamed(engine, prompt, 200, {}, () => void (pieces += 1)));
      const waiting = failure(engine.completions.create({ prompt, max_tokens: 200 }));
      await until(() => pieces > 0);
      await engine.unload();
      return [await streaming, await waiting, await failure(engine.stats())];
    },
    [browser.server.model, PROMPT, worker] as const,
  );
  expect(errors.map((error) => error?.kind)).toEqual(["cancelled", "cancelled", "input"]);
});

test("what applications pass and do with streams", async () => {
  const result = await page.evaluate(
    async ([url, prompt]) => {
      const engine = await wisp.load(url, { contextLength: 256 });
      const body = { prompt, max_tokens: 2, temperature: 0, stream: true } as const;
      const whole = await engine.completions.create(body);
      for await (const _ of whole);
      const again = await failure((async () => { for await (const _ of whole); })());
      const left = await engine.completions.create({ ...body, max_tokens: 100 });
      for await (const _ of left) break;
      const twice = await engine.completions.create(body);
      const read = async () => { for await (const _ of twice); };
      const both = await Promise.all([failure(read()), failure(read())]);
      // As Vue and Svelte keep them.
      const proxied = <T extends object>(data: T): T =>
        new Proxy(data, {
          get: (object, key, self) => {
            const value = Reflect.get(object, key, self);
            return typeof value === "object" && value !== null ? proxied(value) : value;
          },
        });
      const tools = proxied([{ type: "function" as const, function: { name: "f", parameters: { type: "object" } } }]);
      const messages = proxied([{ role: "user" as const, content: "Hi" }]);
      const chat = await failure(
        engine.chat.completions.create({ messages, tools, tool_choice: "none", stop: proxied(["\n"]), max_tokens: 1, temperature: 0 }),
      );
      const reactive = proxied(await engine.completions.create(body));
      const reactiveError = await failure((async () => { for await (const _ of reactive); })());
      const unbounded = await engine.completions.create({ ...body, max_tokens: Number.MAX_SAFE_INTEGER });
      for await (const _ of unbounded) break;
      const tooLarge = 2 ** 32 + 5;
      const ids = [
        await failure(engine.completions.create({ prompt: [tooLarge], max_tokens: 1 })),
        await failure(engine.detokenize([tooLarge])),
        await failure(engine.completions.create({ prompt, max_tokens: 1, logit_bias: { [tooLarge]: 1 } })),
      ];
      await engine.unload();
      return {
        aborted: [whole, left].map((stream) => stream.controller.signal.aborted),
        again, both, chat, reactiveError, ids,
      };
    },
    [browser.server.model, PROMPT] as const,
  );
  expect(result.aborted).toEqual([false, true]);
  expect(result.again).toMatchObject({ kind: "input", message: expect.stringContaining("read already") });
  expect(result.both).toEqual([undefined, expect.objectContaining({ kind: "input" })]);
  expect(result.chat).toBeUndefined();
  expect(result.reactiveError).toBeUndefined();
  for (const error of result.ids) expect(error).toMatchObject({ kind: "input", message: expect.stringContaining("4294967301") });
});
