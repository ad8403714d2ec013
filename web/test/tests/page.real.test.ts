// The chat page as it is shipped, with SmolLM2: chats, and again with the network cut.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HEADER_ONLY, modelOrigins, policy } from "../../chat/build/policy.js";
import { Browser } from "../src/browser.js";
import { Person } from "../src/page.js";
import { TestServer } from "../src/server.js";

const DIST = fileURLToPath(new URL("../../chat/dist", import.meta.url));

let folder: string;
let browser: Browser;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "wisp-page-"));
  cpSync(DIST, folder, { recursive: true });
  // As a host would who has the model on a server of their own.
  const list = JSON.parse(readFileSync(join(folder, "models.json"), "utf8")) as { models: { url: string }[]; redirects: string[] };
  const header = `${policy(modelOrigins(list))}; ${HEADER_ONLY}`;
  list.models[0]!.url = "smollm2.gguf";
  writeFileSync(join(folder, "models.json"), JSON.stringify(list));
  browser = await Browser.start({ server: await TestServer.start({ "/": folder }, header) });
});
afterAll(async () => {
  await browser?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A tab with the page, as a person opens it. */
async function visit(): Promise<Person> {
  const page = await browser.context.newPage();
  // A software adapter on a busy machine: the first check of the kernels takes minutes.
  page.setDefaultTimeout(400_000);
  const person = new Person(page);
  await page.goto(browser.server.origin);
  return person;
}

test("a person chats, cuts the network, comes back and goes on", { timeout: 900_000 }, async () => {
  const first = await visit();
  await first.page.getByText(/Needs \d+ MB of GPU memory with a context of 4,096 tokens/).waitFor();
  await first.button("Settings").click();
  await first.page.getByLabel("Longest answer", { exact: true }).fill("16");
  await first.page.getByLabel("Temperature", { exact: true }).fill("0");
  await first.closeDialog();
  await first.start();
  // Said of this adapter, and not passed off as a graphics card.
  await first.page.getByText("software, on the processor").waitFor();
  const answer = await first.hear("What is the capital of France?");
  expect(answer).toContain("Paris");
  expect(answer).toMatch(/[\d.]+ tokens\/s · first token [\d.]+ s · \d+ tokens/);
  await first.kept();
  expect(first.errors).toEqual([]);
  await first.page.close();

  await browser.context.setOffline(true);
  browser.server.difficulties.off = true;
  const second = await visit();
  await second.answers.getByText("Paris").waitFor();
  await second.page.getByRole("button", { name: /SmolLM2.*ready/ }).waitFor();
  expect(await second.hear("And of Italy?")).toContain("Rome");
  expect(second.errors).toEqual([]);
});
