// The chat page for every eye and hand: axe, narrow windows, both themes, keyboard alone.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults, RunOptions } from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { buildFake, type Host, hostFiles, Person, startBrowser } from "../src/page.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let chromium: Browser;
let site: Host;
let context: BrowserContext | undefined;
let page: Page;
let person: Person;

beforeAll(async () => {
  site = await hostFiles(buildFake());
  chromium = await startBrowser();
});
afterAll(async () => {
  await chromium.close();
  await site.stop();
});
afterEach(() => context?.close());

interface Look {
  width?: number;
  theme?: "light" | "dark";
  words?: string;
}

async function visit({ width = 1280, theme = "light", words = "" }: Look): Promise<void> {
  // axe is put into the page, which its policy would not let happen.
  context = await chromium.newContext({ viewport: { width, height: 740 }, colorScheme: theme, bypassCSP: true, reducedMotion: "reduce" });
  context.setDefaultTimeout(30_000);
  page = await context.newPage();
  person = new Person(page);
  await page.goto(words ? `${site.url}?fake=${words}` : site.url);
}

/** Each state of the page, and how one gets there. */
const STATES: Record<string, { words?: string; reach: () => Promise<unknown> }> = {
  welcome: { reach: () => page.getByText("Needs 314 MB").waitFor() },
  downloading: {
    words: "slow",
    reach: async () => {
      await page.getByRole("button", { name: /^Download/ }).click();
      await page.getByText("left").waitFor();
    },
  },
  "not loaded": {
    words: "memory",
    reach: async () => {
      await page.getByRole("button", { name: /^Download/ }).click();
      await page.getByText("was not loaded").waitFor();
    },
  },
  "hub out of reach": {
    words: "unreachable",
    reach: async () => {
      await page.getByRole("button", { name: /^Download/ }).click();
      await page.getByText("could not be reached, or did not deliver the file").waitFor();
      await page.getByText("Details").click();
    },
  },
  conversation: {
    reach: async () => {
      await person.start();
      await person.hear("Write a Python function");
      await person.hear("Why? [fail]");
    },
  },
  editing: {
    reach: async () => {
      await person.start();
      await person.hear("Why is the sky blue?");
      await person.questions.hover();
      await person.button("Edit the question").click();
    },
  },
  models: {
    reach: async () => {
      await person.start();
      await page.getByRole("button", { name: /SmolLM2.*ready/ }).click();
      await page.getByLabel("Address of a GGUF file").fill("https://example.org/a-rather-long-name-of-a-model.Q4_K_M.gguf");
      await person.button("Look").click();
    },
  },
  settings: { reach: () => person.button("Settings").click() },
  privacy: { reach: () => page.getByRole("button", { name: /Nothing you type/ }).click() },
  "without WebGPU": { words: "no-webgpu", reach: () => page.getByText("This browser has no WebGPU").waitFor() },
};

describe.each(Object.keys(STATES))("%s", (name) => {
  const { words = "", reach } = STATES[name]!;

  test.each(["light", "dark"] as const)("axe finds nothing serious, %s", async (theme) => {
    await visit({ theme, words });
    await reach();
    await page.evaluate(AXE);
    const options: RunOptions = { resultTypes: ["violations"] };
    const found = await page.evaluate(
      (options) => (globalThis as unknown as { axe: { run(options: RunOptions): Promise<AxeResults> } }).axe.run(options),
      options,
    );
    const serious = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)).toEqual([]);
  });

  test.each([360, 390, 768])("nothing is cut off at %d px", async (width) => {
    await visit({ width, words });
    await reach();
    const wide = await page.evaluate(() => {
      const scrolls = (element: Element) => element.closest("pre, .wide") !== null || element.closest(".unseen, .skip") !== null;
      const inside = [...document.querySelectorAll(".main *, dialog[open] *")].filter((element) => !scrolls(element));
      const out = inside.filter((element) => element.getBoundingClientRect().right > innerWidth + 1);
      return { page: document.documentElement.scrollWidth, out: out.map((element) => element.outerHTML.slice(0, 80)) };
    });
    expect(wide).toEqual({ page: width, out: [] });
  });
});

test("the theme follows the system, and the reader's choice before it", async () => {
  await visit({ theme: "dark" });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  await page.emulateMedia({ colorScheme: "light" });
  const light = await paper();
  expect(light).not.toBe(dark);
  await person.button("Theme: system").click();
  expect(await paper()).toBe(light);
  await person.button("Theme: light").click();
  expect(await paper()).toBe(dark);
  await page.reload();
  await person.button("Theme: dark").waitFor();
  expect(await paper()).toBe(dark);
});

test("all of it works with the keyboard alone", async () => {
  await visit({});
  await page.getByText("Needs 314 MB").waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? "");
  const tabTo = async (name: RegExp) => {
    for (let step = 0; step < 40; step += 1) {
      if (name.test(await focused())) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`Tab does not lead to ${name}`);
  };
  await tabTo(/^Skip to the message box$/);
  await tabTo(/^Download 98 MB and start$/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Ask away" }).waitFor();
  // One is where one wants to be next.
  expect(await focused()).toBe("Message");
  await page.keyboard.type("Why?");
  await page.keyboard.press("Enter");
  await person.answered();
  expect(await focused()).toBe("Message");
  await page.keyboard.press("Shift+Tab");
  await tabTo(/^Settings$/);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Settings" }).waitFor();
  await page.keyboard.press("Escape");
  expect(await focused()).toBe("Settings");
});

test("in a narrow window the list of conversations lies over the page, and keeps the focus", async () => {
  await visit({ width: 360 });
  await person.start();
  await person.hear("Why is the sky blue?");
  const list = page.getByRole("navigation", { name: "Conversations" });
  expect(await list.isVisible()).toBe(false);
  await person.button("Conversations").click();
  await list.waitFor();
  const inside = () => list.evaluate((element) => element.contains(document.activeElement));
  await expect.poll(inside).toBe(true);
  for (let step = 0; step < 12; step += 1) {
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.closest("main"))).toBeNull();
  }
  await page.keyboard.press("Escape");
  await list.waitFor({ state: "hidden" });
  await expect.poll(() => person.box.evaluate((box) => box === document.activeElement)).toBe(true);
});

test("a screen reader hears an answer once, sentence by sentence", async () => {
  await visit({});
  await person.start();
  await page.evaluate(() => {
    const heard: string[] = [];
    Object.assign(globalThis, { heard });
    const live = document.body;
    new MutationObserver(() => {
      const text = document.querySelector(".unseen[aria-live]")?.textContent ?? "";
      if (text && heard.at(-1) !== text) heard.push(text);
    }).observe(live, { subtree: true, childList: true, characterData: true });
  });
  await person.hear("Why is the sky blue?");
  await page.waitForTimeout(200);
  const heard = await page.evaluate(() => (globalThis as unknown as { heard: string[] }).heard);
  expect(heard[0]).toBe("Wisp is answering.");
  const told = heard.slice(1).join(" ").replace(/\s+/g, " ");
  expect(told.startsWith("Sunlight holds all colours.")).toBe(true);
  expect(told.endsWith("what is left looks red.")).toBe(true);
  expect(told.match(/Sunlight/g)).toHaveLength(1);
});
