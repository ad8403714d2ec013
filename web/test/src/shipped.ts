// The chat page as it is shipped, on a host that has a model of its list on its own server.

import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inject } from "vitest";
import { HEADER_ONLY, modelOrigins, policy } from "../../chat/build/policy.js";
import type { Browser } from "./browser.js";
import { Person } from "./page.js";
import { MODEL } from "./paths.js";
import { TestServer } from "./server.js";

const DIST = fileURLToPath(new URL("../../chat/dist", import.meta.url));

interface List {
  models: { id: string; url: string }[];
  redirects: string[];
}

/** Serves the page; it offers the model `id` first, out of `file`. */
export async function shipped(id: string, file = MODEL): Promise<TestServer> {
  const folder = mkdtempSync(join(inject("scratch"), "page-"));
  cpSync(DIST, folder, { recursive: true });
  const list = JSON.parse(readFileSync(join(folder, "models.json"), "utf8")) as List;
  const header = `${policy(modelOrigins(list))}; ${HEADER_ONLY}`;
  const chosen = list.models.find((model) => model.id === id);
  if (!chosen) throw new Error(`the page has no model ${id}`);
  chosen.url = "model.gguf";
  list.models = [chosen, ...list.models.filter((model) => model !== chosen)];
  writeFileSync(join(folder, "models.json"), JSON.stringify(list));
  return TestServer.start({ "/": folder }, header, { "/model.gguf": file });
}

/** A tab with the page, as a person opens it. */
export async function visit(browser: Browser): Promise<Person> {
  const page = await browser.context.newPage();
  // A software adapter on a busy machine: the first check of the kernels takes minutes.
  page.setDefaultTimeout(600_000);
  const person = new Person(page);
  await page.goto(browser.server.origin);
  return person;
}
