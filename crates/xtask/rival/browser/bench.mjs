// Rounds of the three engines, in turns, each in a new tab of one headless Chromium.
//
//   node bench.mjs ROUNDS modules=… pkg=… model=… onnx=… chromium=…
//
// The paths are those of the folder with `node_modules`, the package's `dist`, a GGUF, a
// folder with the same model as ONNX, and the browser. Prints two tables: a first visit,
// which puts the model into the browser's storage, and the medians of the rounds.

import { createReadStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";

const rounds = Number(process.argv[2]);
const config = Object.fromEntries(process.argv.slice(3).map((word) => /^(\w+)=(.*)$/.exec(word).slice(1)));
const require = createRequire(join(config.modules, "package.json"));
const { chromium } = require("playwright-core");

const ENGINES = ["wisp", "transformers", "wllama"];
const NAMES = {
    wisp: "wisp-llm",
    transformers: `transformers.js ${version("@huggingface/transformers")}`,
    wllama: `wllama ${version("@wllama/wllama")}`,
};
const PREFILL = 128;
/** Tokens to decode: a few do where each one takes seconds. */
const DECODE = { wisp: 16, transformers: 4, wllama: 16 };

/** As the browser tests start it (`web/test/src/browser.ts`). */
const FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
];

const FOLDERS = {
    "/modules/": join(config.modules, "node_modules"),
    "/pkg/": config.pkg,
    "/onnx/model/": config.onnx,
    "/": fileURLToPath(new URL(".", import.meta.url)),
};

const TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
};

function version(name) {
    // Not by `require`: packages may keep their package.json to themselves.
    return require(join(config.modules, "node_modules", name, "package.json")).version;
}

function find(path) {
    if (path === "/model.gguf") return config.model;
    const prefix = Object.keys(FOLDERS).find((prefix) => path.startsWith(prefix));
    const rest = normalize(path.slice(prefix.length) || "index.html");
    return rest.startsWith("..") ? undefined : join(FOLDERS[prefix], rest);
}

async function answer(request, response) {
    const file = find(decodeURIComponent(new URL(request.url, "http://host").pathname));
    const size = file && statSync(file, { throwIfNoEntry: false })?.size;
    if (!size) return void response.writeHead(404).end();
    const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const start = asked ? Number(asked[1]) : 0;
    const end = asked?.[2] ? Math.min(Number(asked[2]), size - 1) : size - 1;
    response.writeHead(asked ? 206 : 200, {
        "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
        "Content-Length": end - start + 1,
        "Accept-Ranges": "bytes",
        ETag: `"${size}"`,
        ...(asked && { "Content-Range": `bytes ${start}-${end}/${size}` }),
        // Threads, for those who want them.
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
    });
    if (request.method === "HEAD") return void response.end();
    await pipeline(createReadStream(file, { start, end }), response);
}

/** In the page: loads one engine and measures it; of a first visit only what it waits for. */
async function measure([name, isFirst, length, generate]) {
    // SmolLM2's tokenizer makes a token of every digit. Each text begins differently, or
    // an engine would find it in its cache.
    const digits = (seed) => Array.from({ length }, (_, i) => (seed + i * i) % 10).join("");
    const start = performance.now();
    const engine = await globalThis.engines[name]();
    const loadMs = performance.now() - start;
    const short = await engine.complete("The capital of France is", 1);
    const figures = { load: loadMs / 1000, first: short.firstMs / 1000, adapter: engine.adapter };
    if (isFirst) return figures;
    // Compiles what only long prompts need.
    await engine.complete(digits(1), 1);
    const prefill = await engine.complete(digits(2), 1);
    if (prefill.prompt !== length) throw new Error(`${prefill.prompt} prompt tokens, not ${length}`);
    const decode = await engine.complete("Once upon a time, there was a", generate + 1);
    figures.prefill = (1000 * length) / prefill.firstMs;
    figures.decode = (1000 * (decode.tokens - 1)) / (decode.allMs - decode.firstMs);
    return figures;
}

/** Columns: a figure's name, and its head. */
const WAITS = { load: "load s", first: "first token s" };
const SPEEDS = { prefill: `prefill ${PREFILL}, tok/s`, decode: "decode, tok/s" };

async function visit(name, isFirst) {
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(`[${name}] ${error.message}`));
    await page.goto(origin);
    await page.waitForFunction(() => "engines" in globalThis);
    const figures = await page.evaluate(measure, [name, isFirst, PREFILL, DECODE[name]]);
    // Its GPU memory goes with it, before the next one's turn.
    await page.close();
    console.error(`   ${NAMES[name]}: ${JSON.stringify(figures)}`);
    return figures;
}

function median(numbers) {
    const sorted = [...numbers].sort((a, b) => a - b);
    return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.floor(sorted.length / 2)]) / 2;
}

function table(title, columns, visits) {
    const heads = ["", ...Object.values(columns), "what really ran"];
    const lines = [title, "", `| ${heads.join(" | ")} |`, `|${"---|".repeat(heads.length)}`];
    for (const name of ENGINES) {
        const middle = (key) => median(visits.map((visit) => visit[name][key])).toFixed(2);
        const cells = [NAMES[name], ...Object.keys(columns).map(middle), visits[0][name].adapter];
        lines.push(`| ${cells.join(" | ")} |`);
    }
    console.log(`${lines.join("\n")}\n`);
}

const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const origin = `http://localhost:${server.address().port}`;
const profile = mkdtempSync(join(tmpdir(), "wisp-bench-"));
const context = await chromium.launchPersistentContext(profile, { executablePath: config.chromium, args: FLAGS });
context.setDefaultTimeout(0);
const done = [];
try {
    const first = {};
    for (const name of ENGINES) first[name] = await visit(name, true);
    const browser = `Chromium ${context.browser().version()}`;
    table(`First visit, ${browser}, from the server on this machine`, WAITS, [first]);
    for (let round = 1; round <= rounds; round += 1) {
        console.error(`── round ${round}`);
        const figures = {};
        for (const name of ENGINES) figures[name] = await visit(name, false);
        done.push(figures);
    }
} finally {
    // Rounds take minutes: those that are done count, even if a later one fails.
    const title = `Median of ${done.length}, model in the browser's storage`;
    if (done.length > 0) table(title, { ...WAITS, ...SPEEDS }, done);
    await context.close();
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true });
}
