// The package as npm would publish it, installed into fresh applications.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Browser } from "../src/browser.js";
import { generate } from "../src/native.js";
import { PACKAGE, PAGES } from "../src/paths.js";
import { TestServer } from "../src/server.js";

const run = promisify(execFile);
// One token: software GPUs take long to compile the kernels of longer prompts.
const PROMPT = "The";
const app = mkdtempSync(join(tmpdir(), "wisp-app-"));
const installed = join(app, "node_modules/wisp-llm");
let expected: string;

beforeAll(async () => {
  expected = (await generate(PROMPT, 2)).text;
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", app], { cwd: PACKAGE });
  const packed = Object.values(JSON.parse(stdout) as Record<string, { filename: string }>)[0]!;
  cpSync(new URL("../vite-app", import.meta.url), app, { recursive: true });
  const { devDependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    devDependencies: { vite: string };
  };
  await run("npm", ["install", "--no-audit", "--no-fund", `./${packed.filename}`, `vite@${devDependencies.vite}`], { cwd: app });
});

afterAll(() => rmSync(app, { recursive: true, force: true }));

test("it has no dependencies", () => {
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as Record<string, unknown>;
  expect(manifest).not.toHaveProperty("dependencies");
});

test.each(["5.9.3", "7.0.2"])("its types are whole for TypeScript %s, which checks them all", async (version) => {
  const folder = mkdtempSync(join(app, "types-"));
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefix", folder, `typescript@${version}`]);
  const entries = ["wisp-llm", "wisp-llm/worker", "wisp-llm/service-worker"];
  writeFileSync(join(folder, "main.ts"), `${entries.map((name) => `import "${name}";`).join("\n")}
    import { checkSupport, load, type WispEngine } from "wisp-llm";
    export const engine: Promise<WispEngine> = checkSupport().then(() => load("/model.gguf"));\n`);
  const compilerOptions = { strict: true, noEmit: true, skipLibCheck: false, module: "esnext", moduleResolution: "bundler", target: "es2022", lib: ["es2022", "dom"], types: [] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }));
  const compiled = run(process.execPath, [join(folder, "node_modules/typescript/bin/tsc"), "-p", folder]);
  expect(await compiled.then(() => "", (error: { stdout: string }) => error.stdout)).toBe("");
});

test("it runs in a plain page, without a bundler", async () => {
  const folders = { "/pkg/": join(installed, "dist"), "/": PAGES };
  const browser = await Browser.start({ server: await TestServer.start(folders) });
  try {
    const page = await browser.open();
    const text = await page.evaluate(
      async ([url, prompt]) => {
        const engine = await wisp.load(url, { contextLength: 256 });
        return (await greedy(engine, prompt, 2)).text;
      },
      [browser.server.model, PROMPT] as const,
    );
    expect(text).toBe(expected);
  } finally {
    await browser.stop();
  }
});

test("it runs in a Vite application, built", async () => {
  await run("npx", ["vite", "build", "--logLevel", "error"], { cwd: app });
  const browser = await Browser.start({ server: await TestServer.start({ "/": join(app, "dist") }) });
  try {
    expect(await ask(browser, "/")).toBe(expected);
  } finally {
    await browser.stop();
  }
});

test("it runs in Vite's development server, without any setting", async () => {
  const vite = spawn(process.execPath, [join(app, "node_modules/vite/bin/vite.js"), "--port", "0"], { cwd: app });
  const browser = await Browser.start();
  try {
    expect(await ask(browser, await addressOf(vite))).toBe(expected);
  } finally {
    vite.kill();
    await browser.stop();
  }
});

async function ask(browser: Browser, path: string): Promise<string> {
  const page = await browser.open(path);
  return page.evaluate(
    ([url, prompt]) => (globalThis as unknown as { answer(url: string, prompt: string): Promise<string> }).answer(url, prompt),
    [browser.server.model, PROMPT] as const,
  );
}

/** What the server prints: colours and all. */
function addressOf(vite: ChildProcess): Promise<string> {
  let printed = "";
  return new Promise((resolve, reject) => {
    vite.stdout!.on("data", (data: Buffer) => {
      printed += data.toString().replace(/\x1b\[\d+m/g, "");
      const address = /http:\/\/localhost:\d+\//.exec(printed)?.[0];
      if (address) resolve(address);
    });
    vite.on("exit", () => reject(new Error(`vite ended: ${printed}`)));
  });
}
