// For the tests of the chat page: builds it with an engine that needs no GPU (`web/chat/test/fake.ts`),
// serves it under a path of a plain host, and does what a person does with it.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type Locator, type Page } from "playwright-core";
import { expect } from "vitest";

const CHAT = fileURLToPath(new URL("../../chat", import.meta.url));

/** Builds the page with the fake engine, and says where. */
export function buildFake(): string {
  const vite = join(CHAT, "node_modules/vite/bin/vite.js");
  if (!existsSync(vite)) throw new Error("web/chat/node_modules is missing: run `npm ci` in web/chat");
  // Or it would be a build for vitest.
  const env = { ...process.env, NODE_ENV: "production" };
  execFileSync(process.execPath, [vite, "build", "--mode", "fake", "--logLevel", "error"], { cwd: CHAT, env, stdio: "inherit" });
  return join(CHAT, "node_modules/.fake");
}

const TYPES: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

export interface Host {
  url: string;
  /** Paths that were asked for and are not there. */
  missing: string[];
  stop(): Promise<void>;
}

/** What the page offers in these tests: a model on its own host, and one elsewhere. */
const OFFERED = fileURLToPath(new URL("../pages/models.json", import.meta.url));

export const offered = () => (JSON.parse(readFileSync(OFFERED, "utf8")) as { models: { url: string }[] }).models;

/** A host of static files: no headers but the type, and not at the root. */
export async function hostFiles(folder: string): Promise<Host> {
  const extra: Record<string, string> = { "models.json": OFFERED };
  const path = "/some/where/";
  const missing: string[] = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://host");
    const name = pathname.startsWith(path) ? pathname.slice(path.length) || "index.html" : "outside";
    readFile(extra[name] ?? join(folder, name)).then(
      (bytes) => response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(bytes),
      () => {
        missing.push(pathname);
        response.writeHead(404).end();
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}${path}`,
    missing,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function startBrowser(args: string[] = []): Promise<Browser> {
  const executablePath = process.env.WISP_CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
}

/** Things a person does. */
export class Person {
  /** Errors that nobody caught. */
  readonly errors: string[] = [];

  constructor(readonly page: Page) {
    page.on("pageerror", (error) => this.errors.push(error.message));
  }

  get box(): Locator {
    return this.page.getByLabel("Message", { exact: true });
  }

  get answers(): Locator {
    return this.page.getByRole("article", { name: "Wisp" });
  }

  get questions(): Locator {
    return this.page.getByRole("article", { name: "You" });
  }

  button(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** Downloads the model that is offered first. */
  async start(): Promise<void> {
    await this.page.getByRole("button", { name: /^Download .* and start$/ }).click();
    await this.page.getByRole("heading", { name: "Ask away" }).waitFor();
  }

  async ask(text: string): Promise<void> {
    await this.box.fill(text);
    await this.box.press("Enter");
  }

  /** Asks, waits for the whole answer, and gives its text. */
  async hear(text: string): Promise<string> {
    await this.ask(text);
    await this.answered();
    return this.answers.last().innerText();
  }

  async answered(): Promise<void> {
    await this.page.locator("[data-live]").waitFor();
    await this.page.locator("[data-live]").waitFor({ state: "detached" });
  }

  /** Waits until the page is kept for visits without network. */
  async kept(): Promise<void> {
    // (`waitForFunction` would need eval, which the page's policy forbids.)
    const controlled = () => this.page.evaluate(() => navigator.serviceWorker.controller !== null);
    await expect.poll(controlled, { timeout: 30_000 }).toBe(true);
  }

  async closeDialog(): Promise<void> {
    await this.page.keyboard.press("Escape");
    await this.page.locator("dialog[open]").waitFor({ state: "detached" });
  }
}
