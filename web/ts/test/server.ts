// A file server that behaves as badly as it is told to.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Behaviour {
  /** Answer ranges. */
  ranges?: boolean;
  /** Break the connection after so many bytes of a body, so many times. */
  breakAfter?: number;
  breaks?: number;
  /** Answer this status, so many times. */
  status?: number;
  refusals?: number;
  etag?: string;
  /** Leave out what tells the size. */
  hideSize?: boolean;
}

export class FileServer {
  readonly requests: { method: string; range: string | undefined }[] = [];
  behaviour: Behaviour = {};
  content: Uint8Array;
  /** Still known when the server has stopped. */
  url = "";
  readonly #server: Server;

  private constructor(content: Uint8Array) {
    this.content = content;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(content: Uint8Array, behaviour: Behaviour = {}): Promise<FileServer> {
    const server = new FileServer(content);
    server.behaviour = { ranges: true, etag: '"1"', ...behaviour };
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    server.url = `http://127.0.0.1:${(server.#server.address() as AddressInfo).port}/models/small.gguf`;
    return server;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { range } = request.headers;
    this.requests.push({ method: request.method!, range });
    const { behaviour } = this;
    if (behaviour.status && (behaviour.refusals ?? Infinity) > 0) {
      behaviour.refusals = (behaviour.refusals ?? Infinity) - 1;
      response.writeHead(behaviour.status).end();
      return;
    }
    const size = this.content.length;
    const asked = behaviour.ranges ? /^bytes=(\d+)-(\d+)$/.exec(range ?? "") : null;
    const [from, to] = asked ? [Number(asked[1]), Math.min(Number(asked[2]), size - 1)] : [0, size - 1];
    const body = this.content.subarray(from, to + 1);
    if (behaviour.etag) response.setHeader("ETag", behaviour.etag);
    if (asked && !behaviour.hideSize) response.setHeader("Content-Range", `bytes ${from}-${to}/${size}`);
    if (!behaviour.hideSize || request.method === "HEAD") response.setHeader("Content-Length", body.length);
    response.writeHead(asked ? 206 : 200);
    if (request.method === "HEAD") return void response.end();
    const { breakAfter } = behaviour;
    if (breakAfter !== undefined && body.length > breakAfter && (behaviour.breaks ?? 0) > 0) {
      behaviour.breaks! -= 1;
      response.write(body.subarray(0, breakAfter), () => setTimeout(() => response.destroy(), 20));
      return;
    }
    response.end(body);
  }
}

/** Bytes that differ from place to place. */
export function sample(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let i = 0, x = 1; i < size; i++) {
    x = (x * 1103515245 + 12345) & 0x7fffffff;
    bytes[i] = x >> 16;
  }
  return bytes;
}
