// Serves the pages of the tests, the package and the model, under the content security policy
// that the package promises to live with. The model can be made hard to get.

import { createReadStream, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { gzipSync } from "node:zlib";
import { MODEL } from "./paths.js";
import { withMemory } from "./wasm-memory.js";

export const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

const TYPES: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".map": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** How the model is served. */
export interface Difficulties {
  ranges: boolean;
  /** Nothing at all is answered. */
  off: boolean;
  /** Bytes a second of each connection; 0 for all it gives. */
  speed: number;
  /** So many connections break after 1 MB. */
  breaks: number;
  /** The whole model is sent compressed: to who accepts that, or to everybody. */
  gzip: "no" | "accepted" | "always";
  /** WebAssembly gets so many bytes at most; 0 for all it wants. */
  wasmMemory: number;
}

const EASY: Difficulties = { ranges: true, off: false, speed: 0, breaks: 0, gzip: "no", wasmMemory: 0 };

export class TestServer {
  readonly difficulties: Difficulties = { ...EASY };
  /** Ranges of the model that were asked for since `forget`. */
  asked: string[] = [];
  /** Bytes of the model that were sent since `forget`. */
  sent = 0;
  /** Address prefixes and the folders behind them. */
  readonly #folders: Record<string, string>;
  readonly #policy: string;
  /** Addresses of models and the files behind them. */
  readonly #models: Record<string, string>;
  readonly #server: Server;
  #port = 0;

  private constructor(folders: Record<string, string>, policy: string, models: Record<string, string>) {
    this.#folders = folders;
    this.#policy = policy;
    this.#models = { "/smollm2.gguf": MODEL, ...models };
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(folders: Record<string, string>, policy = POLICY, models: Record<string, string> = {}): Promise<TestServer> {
    const server = new TestServer(folders, policy, models);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    server.#port = (server.#server.address() as AddressInfo).port;
    return server;
  }

  get origin(): string {
    return `http://localhost:${this.#port}`;
  }

  get model(): string {
    return `${this.origin}/smollm2.gguf`;
  }

  /** Everything easy again. */
  forget(): void {
    Object.assign(this.difficulties, EASY);
    this.asked = [];
    this.sent = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, this.origin);
    // A `%` may be only a `%`.
    const path = decodeURIComponent(pathname.replace(/%(?![0-9a-f]{2})/gi, "%25"));
    response.setHeader("Content-Security-Policy", this.#policy);
    const model = this.#models[path];
    if (model) return this.#model(model, request, response);
    if (path === "/favicon.ico") return void response.writeHead(204).end();
    const file = this.#file(path);
    if (!file) return void response.writeHead(404).end();
    response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
    response.setHeader("Cache-Control", "no-store");
    // Pages of other sites may take the package from here.
    response.setHeader("Access-Control-Allow-Origin", "*");
    const { wasmMemory } = this.difficulties;
    if (wasmMemory && file.endsWith(".wasm")) return void response.end(withMemory(readFileSync(file), wasmMemory));
    await pipeline(createReadStream(file), response);
  }

  #file(path: string): string | undefined {
    for (const [prefix, folder] of Object.entries(this.#folders)) {
      if (!path.startsWith(prefix)) continue;
      const rest = normalize(path.slice(prefix.length) || "index.html");
      if (rest.startsWith("..")) return undefined;
      const file = join(folder, rest);
      if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
    }
    return undefined;
  }

  async #model(file: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { difficulties } = this;
    if (difficulties.off) return void response.destroy();
    const { range } = request.headers;
    this.asked.push(range ?? "all");
    const { size } = statSync(file);
    const asked = difficulties.ranges ? /^bytes=(\d+)-(\d+)$/.exec(range ?? "") : null;
    const [start, end] = asked ? [Number(asked[1]), Math.min(Number(asked[2]), size - 1)] : [0, size - 1];
    response.setHeader("ETag", `"${file}"`);
    // Vite's development server is another origin.
    response.setHeader("Access-Control-Allow-Origin", "*");
    const count = (bytes: number) => void (this.sent += bytes);
    const accepted = difficulties.gzip === "accepted" && request.headers["accept-encoding"]?.includes("gzip");
    if ((accepted || difficulties.gzip === "always") && !asked) {
      const zipped = gzipSync(readFileSync(file), { level: 1 });
      response.setHeader("Content-Encoding", "gzip");
      response.setHeader("Content-Length", zipped.length);
      count(zipped.length);
      return void response.writeHead(200).end(zipped);
    }
    response.setHeader("Content-Length", end - start + 1);
    if (asked) response.setHeader("Content-Range", `bytes ${start}-${end}/${size}`);
    response.writeHead(asked ? 206 : 200);
    if (request.method === "HEAD") return void response.end();
    const broken = difficulties.breaks > 0 && end - start > 2e6;
    if (broken) difficulties.breaks -= 1;
    await pipeline(createReadStream(file, { start, end }), hinder(difficulties.speed, broken, count), response);
  }
}

/** Slows a stream down, or breaks it after 1 MB. */
function hinder(speed: number, broken: boolean, count: (bytes: number) => void): Transform {
  let sent = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sent += chunk.length;
      count(chunk.length);
      if (broken && sent > 1e6) return done(new Error("broken on purpose"));
      if (speed === 0) return done(null, chunk);
      setTimeout(() => done(null, chunk), (chunk.length * 1000) / speed);
    },
  });
}
