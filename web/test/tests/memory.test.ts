// Memory that isn't there: WebAssembly's and the GPU's; and memory that must be given back.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Browser } from "../src/browser.js";
import { print } from "../src/print.js";

// One token: software GPUs take long to compile the kernels of longer prompts.
const PROMPT = "Once";
const MB = 2 ** 20;

let browser: Browser;
let page: Page;

beforeAll(async () => {
  browser = await Browser.start();
  page = await browser.open();
  // So that the model is stored.
  await page.evaluate(async (url) => (await wisp.load(url, { contextLength: 256 })).unload(), browser.server.model);
});

beforeEach(() => browser.server.forget());
afterAll(() => browser.stop());

test("out of WebAssembly's memory, at whatever point, is called that, and nothing waits for ever", async () => {
  const kinds: (string | undefined)[] = [];
  for (const limit of [1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32]) {
    browser.server.difficulties.wasmMemory = limit * MB;
    const kind = await page.evaluate(
      async ([url, prompt]) => {
        const error = await failure(
          (async () => {
            const engine = await wisp.load(url, { contextLength: 256 });
            try {
              await greedy(engine, prompt, 2);
            } finally {
              await engine.unload();
            }
          })(),
        );
        return error?.kind === "memory" ? error.kind : error?.message;
      },
      [browser.server.model, PROMPT] as const,
    );
    print(`${limit} MB of WebAssembly's memory: ${kind ?? "enough"}`);
    kinds.push(kind);
  }
  expect(kinds[0]).toBe("memory");
  expect(kinds.at(-1)).toBeUndefined();
  expect(new Set(kinds)).toEqual(new Set(["memory", undefined]));
});

test("a text that takes all memory is refused as that, and so is what comes after it", async () => {
  browser.server.difficulties.wasmMemory = 64 * MB;
  const errors = await page.evaluate(
    async ([url, prompt]) => {
      const engine = await wisp.load(url, { contextLength: 256 });
      const waiting = failure(greedy(engine, prompt, 200));
      // It does not even get into wasm.
      const passing = await failure(engine.tokenize("word ".repeat(20e6)));
      const inside = await failure(engine.tokenize("word ".repeat(4e6)));
      const after = await failure(greedy(engine, prompt, 1));
      await engine.unload();
      return [passing, inside, await waiting, after];
    },
    [browser.server.model, PROMPT] as const,
  );
  for (const error of errors) expect(error).toMatchObject({ name: "WispError", kind: "memory" });
  expect(errors[1]!.message).not.toContain("template");
});

test.each([1e6, 16])("a browser that throws from createBuffer has no memory, and the engine loads later (%d bytes)", async (most) => {
  const { error, text } = await page.evaluate(
    async ([url, prompt, most]) => {
      const original = GPUDevice.prototype.createBuffer;
      GPUDevice.prototype.createBuffer = function (descriptor) {
        if (descriptor.size > most) throw new RangeError("Array buffer allocation failed");
        return original.call(this, descriptor);
      };
      const error = await failure(wisp.load(url, { worker: false, contextLength: 256 }));
      GPUDevice.prototype.createBuffer = original;
      const engine = await wisp.load(url, { worker: false, contextLength: 256 });
      const { text } = await greedy(engine, prompt, 1);
      await engine.unload();
      return { error, text };
    },
    [browser.server.model, PROMPT, most] as const,
  );
  expect(error).toMatchObject({ name: "WispError", kind: "memory" });
  expect(text).not.toBe("");
});

test("loading and unloading in the page itself does not take ever more", async () => {
  const sizes = await page.evaluate(
    async ([url, prompt]) => {
      const sizes: number[] = [];
      for (let round = 0; round < 6; round++) {
        const engine = await wisp.load(url, { worker: false, contextLength: 256 });
        await greedy(engine, prompt, 1);
        sizes.push((await engine.stats()).heapBytes);
        await engine.unload();
      }
      return sizes;
    },
    [browser.server.model, PROMPT] as const,
  );
  print(`wasm heap, round by round: ${sizes.map((size) => (size / MB).toFixed(1)).join(", ")} MiB`);
  // What fits between what is left makes no large difference.
  expect(sizes.at(-1)! - sizes[1]!).toBeLessThan(2 * MB);
});
