// Where bytes come from when it is not all easy: other sites, servers without ranges, large
// buffers, storage that is cleared, and what a look at a model takes.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Browser, SWIFTSHADER } from "../src/browser.js";
import { DIST, MODEL, PAGES } from "../src/paths.js";
import { TestServer } from "../src/server.js";

// One token: software GPUs take long to compile the kernels of longer prompts.
const PROMPT = "Once";

/** The page's own, with another site as well. */
const OPEN =
  "default-src 'self' http://localhost:*; script-src 'self' http://localhost:* 'wasm-unsafe-eval'; worker-src 'self' blob: http://localhost:*";

let browser: Browser;
let other: TestServer;
let page: Page;

beforeAll(async () => {
  other = await TestServer.start({ "/pkg/": DIST }, OPEN);
  const server = await TestServer.start({ "/pkg/": DIST, "/": PAGES }, OPEN, { "/100%.gguf": MODEL });
  browser = await Browser.start({ server, args: SWIFTSHADER });
  page = await browser.open();
});

afterEach(() => {
  browser.server.forget();
  other.forget();
});

afterAll(async () => {
  await browser.stop();
  await other.stop();
});

test("a plan reads the header alone, once for all plans", async () => {
  const plan = (contextLength: number) =>
    page.evaluate(
      async ([url, contextLength]) => (await wisp.planMemory(url, { contextLength })).contextLength,
      [browser.server.model, contextLength] as const,
    );
  expect(await plan(512)).toBe(512);
  // 49,152 tokens and their merges.
  expect(browser.server.sent).toBeLessThan(4e6);
  const asked = browser.server.asked.length;
  expect(await plan(1024)).toBe(1024);
  expect(await plan(512)).toBe(512);
  expect(browser.server.asked).toHaveLength(asked);
  expect(await page.evaluate(() => storedFolders())).toEqual([]);
});

test("without ranges, too, a plan reads the header alone", async () => {
  other.difficulties.ranges = false;
  other.difficulties.speed = 20e6;
  const memory = await page.evaluate((url) => wisp.planMemory(url, { contextLength: 512 }), other.model);
  expect(memory.weights).toBeGreaterThan(50e6);
  expect(other.sent).toBeLessThan(20e6);
});

test.each(["accepted", "always"] as const)("a server of another site that has no ranges and compresses (%s)", async (gzip) => {
  Object.assign(other.difficulties, { ranges: false, gzip });
  await page.evaluate(async () => {
    for (const { id } of await wisp.listModels()) await wisp.deleteModel(id);
  });
  const text = await page.evaluate(
    async ([url, prompt]) => {
      const engine = await wisp.load(url, { contextLength: 256 });
      const { text } = await greedy(engine, prompt, 1);
      await engine.unload();
      return text;
    },
    [other.model, PROMPT] as const,
  );
  expect(text).not.toBe("");
  expect(await page.evaluate(() => wisp.listModels())).toMatchObject([{ complete: true, size: readFileSync(MODEL).length }]);
});

test("an address with a % that is only a %", async () => {
  const name = await page.evaluate(async (url) => {
    const engine = await wisp.load(url, { contextLength: 256 });
    await engine.unload();
    return (await wisp.listModels()).find((model) => model.url === url)?.name;
  }, `${browser.server.origin}/100%.gguf`);
  expect(name).toBe("100%.gguf");
});

test("a package that comes from another site runs in a worker", async () => {
  const { text, inPage } = await page.evaluate(
    async ([origin, url, prompt]) => {
      const { load } = (await runModule(`${origin}/pkg/index.js`)) as typeof wisp;
      const engine = await load(url, { contextLength: 256 });
      const inPage = performance.getEntriesByType("resource").some(({ name }) => name.endsWith(".wasm"));
      const { text } = await greedy(engine, prompt, 1);
      await engine.unload();
      return { text, inPage };
    },
    [other.origin, browser.server.model, PROMPT] as const,
  );
  expect(text).not.toBe("");
  expect(inPage).toBe(false);
});

test("a source that gives views sends what was asked for, not what they are views of", async () => {
  const { largest, error } = await page.evaluate(async () => {
    const buffer = new Uint8Array(64 << 20);
    const source = { name: "view", size: buffer.length, read: async (at: number, length: number) => buffer.subarray(at, at + length) };
    let largest = 0;
    const original = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (this: Worker, message: { bytes?: Uint8Array }, ...rest: never[]) {
      if (message.bytes) largest = Math.max(largest, message.bytes.buffer.byteLength);
      return (original as (...args: unknown[]) => void).call(this, message, ...rest);
    };
    const error = await failure(wisp.load(source));
    Worker.prototype.postMessage = original;
    return { largest, error, intact: buffer.length };
  });
  expect(error).toMatchObject({ kind: "input" });
  expect(largest).toBeGreaterThan(0);
  expect(largest).toBeLessThanOrEqual(4 << 20);
});

test("two blobs of the same size are two models", async () => {
  const names = await page.evaluate(async (url) => {
    const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
    const names = [];
    for (const letter of ["S", "T"]) {
      // The first letter of the model's name, which stands behind its key's type and length.
      const at = new TextDecoder("latin1").decode(bytes.subarray(0, 4096)).indexOf("general.name") + 12 + 4 + 8;
      bytes[at] = letter.charCodeAt(0);
      const engine = await wisp.load(new Blob([bytes]), { cache: true, contextLength: 256 });
      names.push((await engine.info()).model.name[0]);
      await engine.unload();
    }
    return names;
  }, browser.server.model);
  expect(names).toEqual(["S", "T"]);
});

test("only what is to be stored asks for storage that stays", async () => {
  const asked = await page.evaluate(async () => {
    let asked = 0;
    navigator.storage.persist = async () => ((asked += 1), false);
    await failure(wisp.load(new File(["no model"], "a.gguf")));
    const file = asked;
    await failure(wisp.load("/nothing.gguf"));
    return { file, url: asked };
  });
  expect(asked).toEqual({ file: 0, url: 1 });
});

test("site data is cleared, then the GPU is reset: the engine goes on", async () => {
  await page.evaluate(
    async ([url, prompt]) => {
      globalThis.engine = await wisp.load(url, { contextLength: 256 });
      await greedy(engine, prompt, 1);
    },
    [browser.server.model, PROMPT] as const,
  );
  const devtools = await browser.context.newCDPSession(page);
  await devtools.send("Storage.clearDataForOrigin", { origin: browser.server.origin, storageTypes: "all" });
  expect(await page.evaluate(() => wisp.listModels())).toEqual([]);
  const { texts, models } = await page.evaluate(async (prompt) => {
    const before = (await greedy(engine, prompt, 3)).text;
    await testing(engine).destroyDevice();
    const after = (await greedy(engine, prompt, 3)).text;
    await engine.unload();
    return { texts: [before, after], models: await wisp.listModels() };
  }, PROMPT);
  expect(texts[1]).toBe(texts[0]);
  // Fetched again, so stored again.
  expect(models).toMatchObject([{ complete: true }]);
});
