// Chromium with WebGPU on a software adapter, and a page of the test server in it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";
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

export class Browser {
  readonly context: BrowserContext;
  readonly server: TestServer;
  readonly #profile: string;

  private constructor(context: BrowserContext, server: TestServer, profile: string) {
    this.context = context;
    this.server = server;
    this.#profile = profile;
  }

  /** With a profile of its own: nothing is stored yet. */
  static async start({ args = SWIFTSHADER, server }: { args?: string[]; server?: TestServer } = {}): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "wisp-chromium-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: CHROMIUM,
      args: ["--headless=new", ...QUIET, ...args],
    });
    return new Browser(context, server ?? (await TestServer.start({ "/pkg/": DIST, "/": PAGES })), profile);
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
    return page;
  }

  async stop(): Promise<void> {
    await this.context.close();
    await this.server.stop();
    rmSync(this.#profile, { recursive: true, force: true });
  }
}
