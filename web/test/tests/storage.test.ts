// Where the bytes come from, and where they are kept.

import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Browser } from "../src/browser.js";
import { generate } from "../src/native.js";
import { MODEL } from "../src/paths.js";
import { print } from "../src/print.js";

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
afterEach(() => browser.server.forget());

/** Loads, continues the prompt, unloads. */
function use(page: Page, options: object = {}) {
  return page.evaluate(
    async ([url, prompt, tokens, options]) => {
      const start = performance.now();
      const notes: string[] = [];
      const engine = await wisp.load(url, {
        contextLength: 256,
        ...options,
        onEvent: (event) => event.type === "note" && notes.push(event.text),
      });
      const loaded = performance.now();
      const { text } = await greedy(engine, prompt, tokens);
      const end = performance.now();
      await engine.unload();
      return { text, notes, load: (loaded - start) / 1000, first: (end - loaded) / 1000 };
    },
    [browser.server.model, PROMPT, TOKENS, options] as const,
  );
}

test("an aborted download stops, and goes on where it was, through broken connections", async () => {
  browser.server.difficulties.speed = 20e6;
  const error = await page.evaluate(async (url) => {
    const controller = new AbortController();
    const onProgress = ({ phase, loaded }: { phase: string; loaded: number }) => {
      if (phase === "download" && loaded > 30e6) controller.abort();
    };
    return failure(wisp.load(url, { signal: controller.signal, onProgress }));
  }, browser.server.model);
  expect(error).toMatchObject({ name: "AbortError" });
  await expect.poll(() => page.evaluate(async () => (await wisp.listModels())[0]?.stored ?? 0)).toBeGreaterThan(15e6);
  const asked = browser.server.asked.length;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(browser.server.asked).toHaveLength(asked);

  browser.server.forget();
  browser.server.difficulties.breaks = 3;
  expect((await use(page)).text).toBe(expected);
  expect(browser.server.asked).not.toContain("bytes=0-4194303");
  expect(browser.server.difficulties.breaks).toBe(0);
});

test("the second load needs no network", async () => {
  browser.server.difficulties.off = true;
  const { text, load, first } = await use(page);
  expect(text).toBe(expected);
  print(`load from storage: ${load.toFixed(1)} s; first ${TOKENS} tokens after ${first.toFixed(1)} s more`);
});

test("a stored model is listed, planned and loaded by what is listed", async () => {
  browser.server.difficulties.off = true;
  const { model, memory, name } = await page.evaluate(async () => {
    const [model] = await wisp.listModels();
    const memory = await wisp.planMemory(model!, { contextLength: 1024 });
    const engine = await wisp.load(model!, { contextLength: 256 });
    const { name } = (await engine.info()).model;
    await engine.unload();
    return { model, memory, name };
  });
  expect(model).toMatchObject({ url: browser.server.model, name: "smollm2.gguf", complete: true });
  expect(memory).toMatchObject({ contextLength: 1024 });
  expect(memory.total).toBeGreaterThan(98e6);
  expect(name).toMatch(/smollm2/i);
});

test("a flipped byte and a truncated file are found, and fetched again", async () => {
  await page.evaluate(async () => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("wisp-llm");
    for await (const folder of root.values()) {
      if (folder.kind === "file") continue;
      const damage = async (chunk: string, change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>) => {
        const file = await (folder as FileSystemDirectoryHandle).getFileHandle(chunk);
        const bytes = new Uint8Array(await (await file.getFile()).arrayBuffer());
        const writable = await file.createWritable();
        await writable.write(change(bytes));
        await writable.close();
      };
      await damage("5", (bytes) => ((bytes[1234]! ^= 1), bytes));
      await damage("9", (bytes) => bytes.slice(0, 1_000_000));
    }
  });
  const { text, notes } = await use(page);
  expect(text).toBe(expected);
  expect(notes).toEqual(["parts of the stored copy were damaged; they were fetched again"]);
  const chunks = [5, 9].map((index) => `bytes=${index * 2 ** 22}-${(index + 1) * 2 ** 22 - 1}`);
  expect(browser.server.asked.sort()).toEqual(["bytes=0-0", ...chunks].sort());
});

test("two tabs at once download once, and both work", async () => {
  await page.evaluate(async () => {
    for (const { id } of await wisp.listModels()) await wisp.deleteModel(id);
  });
  const other = await browser.open();
  const both = await Promise.all([use(page), use(other)]);
  expect(both.map(({ text }) => text)).toEqual([expected, expected]);
  expect(new Set(browser.server.asked).size).toBe(24 + 1);
  expect(browser.server.asked.filter((range) => range !== "bytes=0-0")).toHaveLength(24);
  await other.close();
});

test("a model that isn't the expected one is refused and not kept", async () => {
  const error = await page.evaluate(
    async (url) => failure(wisp.load(url, { sha256: "0".repeat(64), contextLength: 256 })),
    browser.server.model,
  );
  expect(error).toMatchObject({ kind: "network", message: expect.stringContaining("its SHA-256 is") });
  expect(await page.evaluate(() => wisp.listModels())).toEqual([]);
});

test("a server without ranges will do", async () => {
  browser.server.difficulties.ranges = false;
  expect((await use(page, { cache: false })).text).toBe(expected);
  expect(await page.evaluate(() => wisp.listModels())).toEqual([]);
});

test("a File, and a stream, load too", async () => {
  const picker = await page.evaluateHandle(() => {
    const input = document.createElement("input");
    input.type = "file";
    return input;
  });
  await picker.setInputFiles(MODEL);
  const texts = await page.evaluate(
    async ([input, prompt, tokens]) => {
      const texts: string[] = [];
      const [file] = (input as HTMLInputElement).files!;
      for (const model of [file!, file!.stream()]) {
        const engine = await wisp.load(model, { contextLength: 256 });
        texts.push((await greedy(engine, prompt as string, tokens as number)).text);
        await engine.unload();
      }
      return texts;
    },
    [picker, PROMPT, TOKENS] as const,
  );
  expect(texts).toEqual([expected, expected]);
  expect(await page.evaluate(() => wisp.listModels())).toEqual([]);
});

test("a file that is no model is refused by what it is", async () => {
  const error = await page.evaluate(() => failure(wisp.load(new File(["<!doctype html>"], "page.gguf"))));
  expect(error).toMatchObject({ name: "WispError", kind: "input", message: expect.stringContaining("page.gguf") });
});
