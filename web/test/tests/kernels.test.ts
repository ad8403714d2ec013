// Every kernel on the browser's adapter, beside its definition. A file of its own: the browser
// compiles one kernel after the other, on one core, and other tests have the other one meanwhile.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Browser } from "../src/browser.js";
import { print } from "../src/print.js";

let browser: Browser;
let page: Page;

beforeAll(async () => {
  browser = await Browser.start();
  page = await browser.open();
});

afterAll(() => browser.stop());

test("every kernel is right on this adapter", async () => {
  const checks = await page.evaluate(async (url) => {
    const engine = await wisp.load(url, { contextLength: 512 });
    const checks = await testing(engine).selfCheck();
    await engine.unload();
    return checks;
  }, browser.server.model);
  expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(checks.length).toBeGreaterThan(300);
  print(`kernel cases: ${checks.length}`);
}, 1_200_000);
