// What the chat page promises: nothing leaves, and it comes back without network.

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { buildFake, type Host, hostFiles, offered, Person, startBrowser } from "../src/page.js";

let chromium: Browser;
let site: Host;
let context: BrowserContext;
let page: Page;
let person: Person;
/** Other hosts that anything in the browser tried to reach. */
let strangers: string[];
let folder: string;

beforeAll(async () => {
  folder = buildFake();
  site = await hostFiles(folder);
  chromium = await startBrowser();
});
afterAll(async () => {
  await chromium.close();
  await site.stop();
});
beforeEach(async () => {
  context = await chromium.newContext();
  context.setDefaultTimeout(30_000);
  strangers = [];
  // What the policy refuses never gets here.
  await context.route(/example\.(com|org)/, (route) => {
    strangers.push(route.request().url());
    return route.fulfill({ status: 200, headers: { "access-control-allow-origin": "*" }, body: "here" });
  });
  page = await context.newPage();
  person = new Person(page);
  await page.goto(site.url);
});
afterEach(async () => {
  await context.close();
  expect(person.errors).toEqual([]);
});

const fetching = (url: string) =>
  page.evaluate((url) => fetch(url).then(() => "sent", () => "refused"), url);

test("the page cannot contact a stranger, and shows it", async () => {
  expect(await fetching("https://example.com/?secret")).toBe("refused");
  await page.getByRole("button", { name: /Nothing you type leaves this device/ }).click();
  await person.button("Try to send something out").click();
  await page.getByText("Your browser refused to contact example.com.").waitFor();
  expect(strangers).toEqual([]);
});

test("the worker that computes cannot either, on a host that sends no policy", async () => {
  await person.start();
  expect(await person.hear("[worker]")).toContain("The worker’s message was refused.");
  expect(strangers).toEqual([]);
});

test("nothing in an answer is run or fetched", async () => {
  await person.start();
  await person.hear("[hostile]");
  expect(await page.title()).toBe("Wisp");
  const answer = person.answers.last();
  expect(await answer.locator("img, script, iframe").count()).toBe(0);
  expect(await answer.locator("a").evaluateAll((links) => links.map((link) => link.getAttribute("href")))).toEqual([
    "https://example.com/p.png?q=secret",
    null,
  ]);
  expect(strangers).toEqual([]);
});

test("nobody but the page's own host is contacted before a person asks for it", async () => {
  const others: string[] = [];
  const own = new URL(site.url).origin;
  context.on("request", (request) => {
    const url = request.url();
    if (/^https?:/.test(url) && new URL(url).origin !== own) others.push(url);
  });
  const { host } = new URL(offered().at(-1)!.url);
  const ask = `Ask ${host} for its exact need`;
  await context.route((url) => url.host === host, (route) => route.fulfill({ status: 200, body: "" }));
  page = await context.newPage();
  person = new Person(page);
  await page.goto(site.url);
  await person.kept();
  await person.button("Choose a model").click();
  const dialog = page.locator("dialog[open]");
  await dialog.getByText("Needs about 9.3 GB of GPU memory with a context of 4,096 tokens").waitFor();
  await page.waitForTimeout(500);
  expect(others).toEqual([]);
  await dialog.getByRole("button", { name: ask }).click();
  // Of both models of the list now.
  const exact = () => dialog.getByText("Needs 314 MB").count();
  await expect.poll(exact).toBe(2);
  expect(others).toHaveLength(1);
  // Once is enough.
  await person.closeDialog();
  await person.button("Choose a model").click();
  await dialog.getByRole("button", { name: ask }).click();
  await expect.poll(exact).toBe(2);
  expect(others).toHaveLength(1);
});

test("a model of another host needs a person's consent, which can be taken back", async () => {
  await person.kept();
  const look = async () => {
    await person.button("Choose a model").click();
    await page.getByLabel("Address of a GGUF file").fill("https://example.org/tiny.gguf");
    await person.button("Look").click();
  };
  await look();
  await page.getByText("This page may not contact example.org").waitFor();
  expect(await fetching("https://example.org/tiny.gguf")).toBe("refused");
  await person.button("Allow and reload").click();

  // The address is still there, and may be contacted now; others may not.
  await page.locator("dialog[open] .model").getByText("tiny").waitFor();
  await page.locator("dialog[open] .model").getByText("Needs 314 MB of GPU memory").last().waitFor();
  expect(await fetching("https://example.org/tiny.gguf")).toBe("sent");
  expect(await fetching("https://example.com/")).toBe("refused");
  await person.closeDialog();

  await page.getByRole("button", { name: /Nothing you type leaves this device/ }).click();
  await page.getByText("allowed by you").waitFor();
  const loaded = page.waitForEvent("load");
  await person.button("Forget https://example.org").click();
  await loaded;
  await person.button("Choose a model").waitFor();
  expect(await fetching("https://example.org/tiny.gguf")).toBe("refused");
});

test("model and conversations are where they were, without network", async () => {
  await person.start();
  await person.hear("Why is the sky blue?");
  await person.kept();
  await page.close();
  await context.setOffline(true);
  page = await context.newPage();
  person = new Person(page);
  await page.goto(site.url);
  await person.answers.getByText("Sunlight holds all colours.").waitFor();
  await page.getByRole("button", { name: "SmolLM2 135M Instruct ready" }).waitFor();
  expect(await person.hear("And code?")).toContain("count_words");
});

test("a question whose page was closed is there with what was answered", async () => {
  await person.start();
  await person.ask("[long]");
  await page.locator("[data-live]").getByText("Sunlight").first().waitFor();
  await page.waitForTimeout(2500);
  await page.reload();
  await person.answers.getByText("Sunlight").first().waitFor();
  await person.answers.getByText(/broken off$/).waitFor();
});

test("a newer page waits until it is asked for", async () => {
  await person.kept();
  const worker = join(folder, "sw.js");
  const before = readFileSync(worker, "utf8");
  try {
    writeFileSync(worker, `${before}\n// newer`);
    await page.reload();
    const loaded = page.waitForEvent("load");
    await person.button("Update").click();
    await loaded;
    await person.button("Update").waitFor({ state: "detached" });
  } finally {
    writeFileSync(worker, before);
  }
});

test("an update in one tab leaves the others whole, and tells them", async () => {
  await person.kept();
  const other = await context.newPage();
  const otherPerson = new Person(other);
  await other.goto(site.url);
  await person.button("Choose a model").waitFor();
  // A newer version, whose scripts have other names; the old ones are gone from the host.
  const assets = join(folder, "assets");
  const scripts = readdirSync(assets).filter((name) => name.endsWith(".js"));
  const texts = [join(folder, "index.html"), join(folder, "sw.js"), ...scripts.map((name) => join(assets, name))];
  const before = new Map(texts.map((path) => [path, readFileSync(path, "utf8")]));
  const newer = (name: string) => name.replace(/\.js$/, "x.js");
  const renameAll = (text: string) => scripts.reduce((all, name) => all.replaceAll(name, newer(name)), text);
  try {
    for (const [path, text] of before) {
      rmSync(path);
      const version = text.replace(/(["'`])[0-9a-f]{16}\1/, '"0123456789abcdef"');
      writeFileSync(scripts.includes(basename(path)) ? newer(path) : path, renameAll(path.endsWith("sw.js") ? version : text));
    }
    await page.reload();
    const loaded = page.waitForEvent("load");
    await person.button("Update").click();
    await loaded;
    await other.getByText("Another tab updated this page.").waitFor();
    // The other tab's worker is a file that only its own version had.
    await otherPerson.start();
    expect(await otherPerson.hear("[worker]")).toContain("The worker’s message was refused.");
    expect(otherPerson.errors).toEqual([]);
    // When no tab runs it any more, the old version goes.
    await other.close();
    const versions = () => page.evaluate(() => caches.keys().then((names) => names.filter((name) => name.startsWith("wisp-page-")).length));
    expect(await versions()).toBe(2);
    await page.reload();
    await expect.poll(versions, { timeout: 10_000 }).toBe(1);
  } finally {
    for (const name of scripts) rmSync(join(assets, newer(name)), { force: true });
    for (const [path, text] of before) writeFileSync(path, text);
  }
});

test("the page can be installed", async () => {
  await person.kept();
  const session = await context.newCDPSession(page);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  // A context of playwright counts as a private window.
  const other = installabilityErrors.filter(({ errorId }) => errorId !== "in-incognito");
  expect(other).toEqual([]);
  const { errors } = await session.send("Page.getAppManifest");
  expect(errors).toEqual([]);
});

test("the files of the page are complete, under a path that is not the root", async () => {
  await person.kept();
  expect(site.missing).toEqual([]);
});
