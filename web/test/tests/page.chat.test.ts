// The chat page as a person uses it, with an engine that needs no GPU.

import { readFile } from "node:fs/promises";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { buildFake, type Host, hostFiles, Person, startBrowser } from "../src/page.js";

let chromium: Browser;
let site: Host;
let context: BrowserContext;
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
beforeEach(async () => {
  context = await chromium.newContext({ acceptDownloads: true });
  context.setDefaultTimeout(30_000);
  await visit("");
});
afterEach(async () => {
  await context.close();
  expect(person.errors).toEqual([]);
});

/** Opens the page; `words` choose what the fake engine does. */
async function visit(words: string): Promise<void> {
  page = await context.newPage();
  person = new Person(page);
  await page.goto(words ? `${site.url}?fake=${words}` : site.url);
}

test("size and fit are shown before the download, progress during it", async () => {
  await visit("slow");
  await page.getByText("Needs 314 MB of GPU memory with a context of 4,096 tokens; 12.4 GB of storage are free here.").waitFor();
  await person.button("Download 98 MB and start").click();
  await page.getByText(/^\d+ MB of 98 MB · 8\.2 MB\/s · \d\.\d s left$/).waitFor();
  const bar = page.getByRole("progressbar", { name: "Downloading" });
  const share = () => bar.evaluate((element: HTMLProgressElement) => element.value / element.max);
  const early = await share();
  await page.waitForTimeout(1000);
  expect(await share()).toBeGreaterThan(early);
  await page.getByRole("progressbar", { name: "Compiling kernels" }).waitFor();
  await page.getByText("31 of 46").waitFor();
});

test("a download can be cancelled and begun again", async () => {
  await visit("slow");
  await person.button("Download 98 MB and start").click();
  await person.button("Cancel").click();
  await person.button("Download 98 MB and start").waitFor();
  expect(await person.box.evaluate((box) => box === document.activeElement)).toBe(true);
});

test("a broken download says what happened, and goes on", async () => {
  await visit("broken-download");
  await person.button("Download 98 MB and start").click();
  await page.getByRole("alert").getByText("The connection to models.example broke after 39 MB").waitFor();
  await person.button("Try again").waitFor();
});

test("a model that does not fit is refused with numbers, and a smaller context is one click away", async () => {
  await visit("memory");
  await page.getByText("It does not fit: A context of 4096 tokens needs 314 MB").waitFor();
  await person.button("Download 98 MB and start").click();
  await person.button("Try with a context of 2,048").click();
  await person.button("Try with a context of 1,024").click();
  await page.getByRole("heading", { name: "Ask away" }).waitFor();
});

test("stored models are listed, and deleted", async () => {
  await person.start();
  await page.getByRole("button", { name: /SmolLM2.*ready/ }).click();
  await page.getByText("100 MB used by this site, 12.4 GB free.").waitFor();
  await person.button("Delete SmolLM2 135M Instruct").click();
  await page.getByText("No model yet.").waitFor();
  await page.getByText("SmolLM2 135M Instruct was deleted: 98 MB are free again.").waitFor();
});

test("a file is loaded by the picker and by drag and drop", async () => {
  await person.button("Choose a model").click();
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: /Choose a GGUF file/ }).click();
  await (await chooser).setFiles({ name: "picked.gguf", mimeType: "application/octet-stream", buffer: Buffer.alloc(64) });
  await page.getByRole("button", { name: "picked ready" }).waitFor();
  await page.getByRole("button", { name: "picked ready" }).click();
  const again = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: /Choose a GGUF file/ }).click();
  const part = (number: number) => ({ name: `split-0000${number}-of-00002.gguf`, mimeType: "application/octet-stream", buffer: Buffer.alloc(64) });
  await (await again).setFiles([part(1), part(2)]);
  await page.getByRole("button", { name: "split ready" }).waitFor();
  const drop = (name: string) =>
    page.evaluate((name) => {
      const files = new DataTransfer();
      files.items.add(new File(["x"], name));
      const init = { dataTransfer: files, bubbles: true, cancelable: true };
      const target = document.querySelector("main") as HTMLElement;
      target.dispatchEvent(new DragEvent("dragover", init));
      target.dispatchEvent(new DragEvent("drop", init));
    }, name);
  await drop("dropped.gguf");
  await page.getByRole("button", { name: "dropped ready" }).waitFor();
  await drop("photo.jpg");
  await page.getByText("“photo.jpg” is neither a model (.gguf) nor exported conversations (.json).").waitFor();
});

test("an answer is streamed as markdown, with its speed under it", async () => {
  await person.start();
  await person.ask("Write a Python function");
  const live = page.locator("[data-live]");
  await live.getByText("Here is a small").waitFor();
  // Its end is not there yet.
  expect(await live.getByRole("table").count()).toBe(0);
  await live.waitFor({ state: "detached" });
  const answer = person.answers.last();
  expect(await answer.locator("figure.code").count()).toBe(1);
  expect(await answer.getByRole("table").count()).toBe(1);
  expect(await answer.locator(".figures").innerText()).toMatch(/^49 tokens\/s · first token 0\.\d\d s · \d+ tokens$/);
});

test("stop ends an answer and keeps what is there; Escape does too", async () => {
  await visit("slow");
  await person.start();
  await person.ask("[long]");
  await person.answers.last().getByText("Sunlight").waitFor();
  await person.button("Stop").click();
  await person.answers.last().getByText(/ tokens · stopped$/).waitFor();
  await person.ask("[long]");
  await page.locator("[data-live]").getByText("Sunlight").waitFor();
  await page.keyboard.press("Escape");
  await person.answers.last().getByText(/ tokens · stopped$/).waitFor();
  expect(await person.answers.count()).toBe(2);
});

test("an answer is written again in place of the last one", async () => {
  await person.start();
  await person.hear("Why is the sky blue?");
  await person.button("Answer again").click();
  await person.answered();
  expect(await person.answers.count()).toBe(1);
  expect(await person.questions.count()).toBe(1);
});

test("a question is edited, and what followed it is replaced", async () => {
  await person.start();
  await person.hear("Why is the sky blue?");
  await person.hear("And red?");
  await person.questions.first().hover();
  await person.questions.first().getByRole("button", { name: "Edit the question" }).click();
  const editor = page.getByRole("textbox", { name: "Edit the question" });
  expect(await editor.inputValue()).toBe("Why is the sky blue?");
  await editor.fill("Write code");
  await editor.press("Enter");
  await person.answered();
  expect(await person.questions.count()).toBe(1);
  expect(await person.questions.innerText()).toMatch(/Write code/);
  expect(await person.answers.innerText()).toMatch(/count_words/);
});

test("settings and the system prompt reach the engine, within bounds", async () => {
  await person.start();
  await person.button("Settings").click();
  await page.getByLabel("System prompt").fill("Be brief.");
  const set = async (label: string, value: string) => {
    await page.getByLabel(label, { exact: true }).fill(value);
    await page.getByLabel(label, { exact: true }).press("Tab");
  };
  await set("Temperature", "9");
  expect(await page.getByLabel("Temperature", { exact: true }).inputValue()).toBe("2");
  await set("Top-k", "7");
  await set("Longest answer", "300");
  await set("Seed", "42");
  await person.closeDialog();
  await person.ask("[request]");
  await person.answered();
  const body = JSON.parse(await person.answers.last().locator("pre").innerText());
  expect(body.messages).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "[request]" },
  ]);
  const { temperature, top_k, top_p, max_tokens, seed, stream } = body;
  expect({ temperature, top_k, top_p, max_tokens, seed, stream }).toEqual({ temperature: 2, top_k: 7, top_p: 0.9, max_tokens: 300, seed: 42, stream: true });
});

test("conversations are renamed, deleted and brought back", async () => {
  await person.start();
  await person.hear("Why is the sky blue?");
  const rename = page.getByRole("button", { name: "Rename “Why is the sky blue?”" });
  await page.getByRole("navigation").getByText("Why is the sky blue?").hover();
  await rename.click();
  await page.getByRole("textbox", { name: "Title" }).fill("Colours");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Colours", level: 1 }).waitFor();
  await page.getByRole("navigation").getByText("Colours").hover();
  await person.button("Delete “Colours”").click();
  await page.getByRole("heading", { name: "New chat", level: 1 }).waitFor();
  await person.button("Undo").click();
  await page.getByRole("navigation").getByText("Colours").click();
  expect(await person.answers.count()).toBe(1);
});

test("conversations are exported and imported", async () => {
  await person.start();
  await person.hear("Why is the sky blue?");
  const download = page.waitForEvent("download");
  await person.button("Export all conversations").click();
  const file = await (await download).path();
  const text = await readFile(file, "utf8");
  expect(JSON.parse(text).conversations[0].messages.length).toBe(2);
  const other = await chromium.newContext();
  page = await other.newPage();
  person = new Person(page);
  await page.goto(site.url);
  const importing = async (name: string, content: string) => {
    const chooser = page.waitForEvent("filechooser");
    await person.button("Import conversations").click();
    await (await chooser).setFiles({ name, mimeType: "application/json", buffer: Buffer.from(content) });
  };
  await importing("chats.json", text);
  await page.getByText("1 conversation imported.").waitFor();
  await page.getByRole("navigation").getByText("Why is the sky blue?").click();
  await person.answers.getByText("Sunlight holds all colours.").waitFor();
  await importing("chats.json", text);
  await page.getByText("0 conversations imported, 1 was here already.").waitFor();
  await importing("bad.json", text.replace('"assistant"', '"wizard"'));
  await page.getByText('Nothing was imported from this damaged file: “conversation 1, message 2, role” is "wizard"').waitFor();
  await other.close();
});

test("a lost GPU is told, and the answer goes on", async () => {
  await person.start();
  await person.ask("Why? [lose]");
  await person.answers.getByText("The graphics card was reset.").waitFor();
  await page.getByRole("button", { name: /setting the GPU up again/ }).waitFor();
  await person.answers.getByText("what is left looks red.").waitFor();
  await person.answers.getByText("The graphics card was reset.").waitFor({ state: "detached" });
});

test("an answer that fails says why, and can be tried again", async () => {
  await person.start();
  await person.ask("Why? [fail]");
  await person.answers.getByRole("alert").getByText("The conversation has 4,102 tokens").waitFor();
  await person.button("Try again").waitFor();
});

test("where the browser keeps nothing, one can chat all the same, and is told", async () => {
  await context.addInitScript(() => {
    indexedDB.open = () => {
      throw new DOMException("The user denied permission to access the database.", "UnknownError");
    };
  });
  await visit("");
  await page.getByText("conversations will be gone with the tab").waitFor();
  await person.start();
  expect(await person.hear("Why is the sky blue?")).toContain("Sunlight holds all colours.");
  expect(await person.hear("And code?")).toContain("count_words");
});

test("without WebGPU the page says what is lacking and what to do", async () => {
  await visit("no-webgpu");
  await page.getByRole("heading", { name: "This browser has no WebGPU" }).waitFor();
  await page.getByText("Version 127 or later on Windows").waitFor();
  expect(await person.box.count()).toBe(0);
});

test("a question whose answer was stopped before its first word is asked together with the next", async () => {
  await visit("slow");
  await person.start();
  await person.ask("Why is the sky blue?");
  await page.locator("[data-live]").waitFor();
  await person.button("Stop").click();
  await page.locator("[data-live]").waitFor({ state: "detached" });
  await person.hear("[request]");
  const body = JSON.parse(await person.answers.last().locator("pre").innerText());
  expect(body.messages).toEqual([{ role: "user", content: "Why is the sky blue?\n\n[request]" }]);
});

test("one tab at a time answers in a conversation", async () => {
  await visit("slow");
  await person.start();
  await person.ask("[long]");
  await page.locator("[data-live]").getByText("Sunlight").waitFor();
  const first = { page, person };
  // Until it was stored.
  await page.waitForTimeout(3000);
  await visit("");
  await person.answers.first().waitFor();
  await page.getByRole("button", { name: /SmolLM2.*ready/ }).waitFor();
  await person.ask("And here?");
  await page.getByText("Another tab is answering in this conversation").waitFor();
  await first.person.button("Stop").click();
  await first.person.answers.last().getByText(/ tokens · stopped$/).waitFor();
  await person.hear("And now?");
  await expect.poll(() => first.person.questions.count()).toBe(2);
});

test("an answer goes on where the browser's storage fails, and that is said once", async () => {
  await person.start();
  await page.evaluate(() => {
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("The disk is full.", "QuotaExceededError");
    };
  });
  expect(await person.hear("Why is the sky blue?")).toContain("Sunlight holds all colours.");
  expect(await page.getByText("This conversation could not be stored").count()).toBe(1);
  expect(await person.hear("And code?")).toContain("count_words");
});

test("Enter that takes an input method's offer does not send", async () => {
  await person.start();
  await person.box.fill("にほんご");
  // Safari ends the composition first: only the key's old code tells.
  await person.box.evaluate((box) => {
    const init = { key: "Enter", keyCode: 229, which: 229, bubbles: true, cancelable: true };
    box.dispatchEvent(new KeyboardEvent("keydown", init));
  });
  expect(await person.questions.count()).toBe(0);
  await person.box.press("Enter");
  await person.questions.getByText("にほんご").waitFor();
});

test("a long conversation does not slow down an answer", { timeout: 120_000 }, async () => {
  await person.start();
  const paragraph = "Sunlight holds **all** colours, and `air` scatters some of them more than others.\n\n";
  const long = `${paragraph.repeat(24)}\n- one\n- two\n\n\`\`\`py\n${"print('x')\n".repeat(180)}\`\`\`\n`;
  expect(long.length).toBeGreaterThan(3900);
  const messages = Array.from({ length: 60 }, (_, at) => [
    { role: "user", text: `Question ${at}` },
    { role: "assistant", text: long },
  ]).flat();
  const settings = { temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, maxTokens: 100, seed: 1 };
  const conversation = { id: "long", title: "Long", created: 1, updated: 1, system: "", settings, messages };
  const chooser = page.waitForEvent("filechooser");
  await person.button("Import conversations").click();
  const file = JSON.stringify({ format: "wisp-conversations", version: 1, conversations: [conversation] });
  await (await chooser).setFiles({ name: "long.json", mimeType: "application/json", buffer: Buffer.from(file) });
  await page.getByRole("navigation").getByText("Long").click();
  await person.answers.last().getByText("print").waitFor();
  await person.ask("[long]");
  await page.locator("[data-live]").getByText("Sunlight").first().waitFor();
  // Tasks by the processor's time: a busy machine makes others last longer.
  const tasks = await tasksOf(page, 3000);
  expect(tasks.length).toBeGreaterThan(20);
  expect(Math.max(...tasks)).toBeGreaterThan(0);
  expect(Math.max(...tasks)).toBeLessThan(50);
  expect(await page.locator("[data-live]").count()).toBe(1);
});

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  tdur?: number;
  args: { name?: string };
}

/** Milliseconds of the processor's time that each task of the page's main thread took. */
async function tasksOf(page: Page, milliseconds: number): Promise<number[]> {
  const session = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...(value as unknown as TraceEvent[])));
  const ended = new Promise<void>((resolve) => session.once("Tracing.tracingComplete", () => resolve()));
  await session.send("Tracing.start", { traceConfig: { includedCategories: ["devtools.timeline", "disabled-by-default-devtools.timeline"] }, transferMode: "ReportEvents" });
  await page.waitForTimeout(milliseconds);
  await session.send("Tracing.end");
  await ended;
  const isMain = (event: TraceEvent) => event.name === "thread_name" && event.args.name === "CrRendererMain";
  const main = new Set(events.filter(isMain).map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = events.filter(({ name, pid, tid }) => name === "RunTask" && main.has(`${pid} ${tid}`));
  return tasks.map(({ tdur }) => (tdur ?? 0) / 1000);
}
