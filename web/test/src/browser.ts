// Chromium with WebGPU on a software adapter, and a page of the test server in it.

import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";
import { inject } from "vitest";
import { CHROMIUM, DIST, PAGES } from "./paths.js";
import { TestServer } from "./server.js";

const QUIET = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const SWIFTSHADER = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

interface Options {
  args?: string[];
  server?: TestServer;
  fresh?: boolean;
}

async function putSelfCheckResults(text: string): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("wisp-llm", { create: true });
  const writable = await (await folder.getFileHandle("self-check", { create: true })).createWritable();
  await writable.write(text);
  await writable.close();
}

async function getSelfCheckResults(): Promise<string> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("wisp-llm");
  return (await (await folder.getFileHandle("self-check")).getFile()).text();
}

export class Browser {
  readonly context: BrowserContext;
  readonly server: TestServer;
  readonly #profile: string;
  /** Where the self-check's results go from one browser to the next; none for a fresh one. */
  readonly #selfCheckResults: string | undefined;

  private constructor(context: BrowserContext, server: TestServer, profile: string, fresh: boolean) {
    this.context = context;
    this.server = server;
    this.#profile = profile;
    this.#selfCheckResults = fresh ? undefined : join(inject("scratch"), "self-check");
  }

  /** With a profile of its own: nothing is stored yet, but for the self-check's results unless `fresh`. */
  static async start({ args = SWIFTSHADER, server, fresh = false }: Options = {}): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "wisp-chromium-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: CHROMIUM,
      args: ["--headless=new", ...QUIET, ...args],
    });
    return new Browser(context, server ?? (await TestServer.start({ "/pkg/": DIST, "/": PAGES })), profile, fresh);
  }

  /** A tab with the package in it as `wisp`. What it logs as an error is printed. */
  async open(address = "/index.html"): Promise<Page> {
    const page = await this.context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") console.log(`[page] ${message.text()}`);
    });
    page.on("pageerror", (error) => console.log(`[page] ${error.stack ?? error.message}`));
    await page.goto(new URL(address, this.server.origin).href);
    await page.waitForFunction(() => "ready" in globalThis);
    const selfCheckResults = this.#selfCheckResults;
    if (selfCheckResults && existsSync(selfCheckResults)) await page.evaluate(putSelfCheckResults, readFileSync(selfCheckResults, "utf8"));
    return page;
  }

  async stop(): Promise<void> {
    const [page] = this.context.pages().filter((page) => page.url().startsWith("http"));
    const selfCheckResults = await page?.evaluate(getSelfCheckResults).catch(() => "");
    if (selfCheckResults && this.#selfCheckResults) {
      // Another browser may read it at this moment.
      writeFileSync(`${this.#selfCheckResults}-${process.pid}`, selfCheckResults);
      renameSync(`${this.#selfCheckResults}-${process.pid}`, this.#selfCheckResults);
    }
    await this.context.close();
    await this.server.stop();
    rmSync(this.#profile, { recursive: true, force: true });
  }
}
