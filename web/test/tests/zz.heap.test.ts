import type { Page } from "playwright-core";
import { afterAll, beforeAll, test } from "vitest";
import { Browser } from "../src/browser.js";
let browser: Browser; let page: Page;
beforeAll(async () => { browser = await Browser.start({ fresh: true }); page = await browser.open(); });
afterAll(() => browser.stop());
test("heap", async () => {
  const out = await page.evaluate(async (url) => {
    const start = performance.now();
    globalThis.engine = await wisp.load(url, { contextLength: 256 });
    const stats = await engine.stats();
    const t = (performance.now() - start) / 1000;
    const a = await engine.completions.create({ prompt: "def add(a, b):", max_tokens: 6, temperature: 0 });
    return { heap: stats.heapBytes / 2 ** 20, t, text: a.choices[0]!.text, after: (await engine.stats()).heapBytes / 2 ** 20, total: (performance.now() - start) / 1000 };
  }, browser.server.model);
  console.log(JSON.stringify(out));
}, 1_200_000);
