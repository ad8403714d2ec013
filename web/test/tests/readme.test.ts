// The examples of web/README.md run, one after the other, in one page.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { transformWithOxc } from "vite";
import { Browser } from "../src/browser.js";
import { DIST, PAGES, README } from "../src/paths.js";
import { TestServer } from "../src/server.js";

const examples = [...readFileSync(README, "utf8").matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
const folder = mkdtempSync(join(tmpdir(), "wisp-readme-"));
let browser: Browser;

beforeAll(async () => {
  const server = await TestServer.start({ "/pkg/": DIST, "/examples/": folder, "/": PAGES });
  browser = await Browser.start({ server });
});

afterAll(async () => {
  await browser.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("every example runs and prints something", async () => {
  expect(examples.length).toBeGreaterThan(3);
  const page = await browser.open();
  for (const [index, example] of examples.entries()) {
    const local = example
      .replaceAll('from "wisp-llm"', 'from "/pkg/index.js"')
      .replaceAll("https://host/model.gguf", browser.server.model)
      // Later examples go on with the engine of the first.
      .replace("const engine =", "globalThis.engine =");
    const { code } = await transformWithOxc(local, `example-${index}.ts`);
    writeFileSync(join(folder, `${index}.js`), code);
    const printed: string[] = [];
    const listen = (message: { type(): string; text(): string }) => message.type() === "log" && printed.push(message.text());
    page.on("console", listen);
    await page.evaluate(async (path) => void (await runModule(path)), `/examples/${index}.js`);
    page.off("console", listen);
    expect(printed, example).not.toEqual([]);
  }
});
