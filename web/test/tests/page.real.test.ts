// The chat page as it is shipped, with SmolLM2: chats, and again with the network cut.

import { afterAll, beforeAll, expect, test } from "vitest";
import { Browser } from "../src/browser.js";
import { shipped, visit } from "../src/shipped.js";

let browser: Browser;

beforeAll(async () => {
  browser = await Browser.start({ server: await shipped("smollm2-135m") });
});
afterAll(() => browser?.stop());

test("a person chats, cuts the network, comes back and goes on", { timeout: 900_000 }, async () => {
  const first = await visit(browser);
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
  const second = await visit(browser);
  await second.answers.getByText("Paris").waitFor();
  await second.page.getByRole("button", { name: /SmolLM2.*ready/ }).waitFor();
  expect(await second.hear("And of Italy?")).toContain("Rome");
  expect(second.errors).toEqual([]);
});
