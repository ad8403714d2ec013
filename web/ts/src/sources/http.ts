// A file behind a URL: how large it is, whether it can be had in ranges, and its bytes, through
// broken connections and busy servers.

import { reason, WispError } from "../error.js";
import { Passing, RETRY, RETRY_FIRST, retrying, sleep, type Retry } from "./retry.js";

/** A connection over which nothing came for so long is given up, and tried anew. */
const STALL_MS = 30_000;

/** Answers after which it is worth trying again. */
const BUSY = new Set([408, 425, 429, 500, 502, 503, 504]);

export interface RemoteFile {
  url: string;
  /** Absent where the server doesn't tell. */
  size: number | undefined;
  /** What the size probably is, where that isn't sure. */
  expected?: number | undefined;
  ranges: boolean;
  /** What the file is known by: its ETag, or when it was changed. Empty where neither is told. */
  tag: string;
}

/** Bytes that have come, as they come. */
export type OnBytes = (count: number) => void;

/** Asks the server for the file's size and whether it gives ranges. */
export function probe(url: string, signal: AbortSignal, retry: Retry = RETRY_FIRST): Promise<RemoteFile> {
  return retrying(retry, signal, async () => {
    const connection = await connect(url, { headers: { Range: "bytes=0-0" } }, signal).catch((error: unknown) => {
      // Browsers refuse an encoded answer to a request for a range: such a server has none.
      if (error instanceof Passing && error.error.cause) return connect(url, {}, signal);
      throw error;
    });
    const { response } = connection;
    // Only the answer's head is wanted; a server without ranges would send the whole file.
    connection.close();
    const ranges = response.status === 206;
    let size = ranges ? totalOf(response) : lengthOf(response);
    if (ranges && size === undefined) {
      // Other sites may read Content-Range only where the server says so; Content-Length always.
      // With a range, for browsers then ask that nothing be encoded.
      const head = await connect(url, { method: "HEAD", headers: { Range: "bytes=0-" } }, signal);
      head.close();
      size = head.response.headers.has("Content-Encoding") ? undefined : contentLength(head.response);
    }
    const expected = size ?? (ranges ? undefined : contentLength(response));
    return { url, size, expected, ranges: ranges && size !== undefined, tag: tagOf(response) };
  });
}

/** Exactly these bytes. A connection that breaks is resumed where it broke. */
export async function range(
  file: RemoteFile,
  offset: number,
  length: number,
  signal: AbortSignal,
  onBytes: OnBytes = () => {},
  retry: Retry = RETRY,
): Promise<Uint8Array> {
  const out = new Uint8Array(length);
  let have = 0;
  const attempt = async () => {
    const headers = { Range: `bytes=${offset + have}-${offset + length - 1}` };
    const connection = await connect(file.url, { headers }, signal);
    try {
      if (connection.response.status !== 206) throw changed(file);
      sameFile(file, connection.response, totalOf(connection.response));
      for await (const bytes of connection.body()) {
        const part = bytes.subarray(0, length - have);
        out.set(part, have);
        have += part.length;
        onBytes(part.length);
      }
    } finally {
      connection.close();
    }
    if (have < length) throw new Passing(cutShort(file, offset + have));
  };
  await retrying(retry, signal, attempt, () => have);
  return out;
}

/**
 * The whole file in order, from a server without ranges. After a broken connection it comes
 * again from the start, and what was already given is left out.
 */
export async function* sequence(
  file: RemoteFile,
  signal: AbortSignal,
  onBytes: OnBytes = () => {},
  retry: Retry = RETRY,
): AsyncGenerator<Uint8Array> {
  let given = 0;
  for (let tried = 1; ; tried++) {
    const before = given;
    try {
      const connection = await connect(file.url, {}, signal);
      try {
        sameFile(file, connection.response, lengthOf(connection.response));
        let at = 0;
        for await (const bytes of connection.body()) {
          const fresh = bytes.subarray(Math.min(bytes.length, Math.max(0, given - at)));
          at += bytes.length;
          if (fresh.length === 0) continue;
          given += fresh.length;
          onBytes(fresh.length);
          yield fresh;
        }
      } finally {
        connection.close();
      }
      if (file.size !== undefined && given < file.size) throw new Passing(cutShort(file, given));
      if (file.size !== undefined && given > file.size) throw changed(file);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Passing)) throw error;
      if (given > before) tried = 1;
      if (tried >= retry.tries) throw error.error;
      await sleep(retry.wait * 2 ** (tried - 1), signal);
    }
  }
}

interface Connection {
  response: Response;
  body(): AsyncGenerator<Uint8Array>;
  close(): void;
}

/** A good answer, or an error that says what to do. Its body fails with `Passing`. */
async function connect(url: string, init: RequestInit, signal: AbortSignal): Promise<Connection> {
  const stall = new AbortController();
  const stalled = () => stall.abort(new TypeError(`nothing came for ${STALL_MS / 1000} seconds`));
  let timer = setTimeout(stalled, STALL_MS);
  const close = () => (clearTimeout(timer), stall.abort());
  try {
    const response = await fetch(url, {
      ...init,
      // The store keeps it, once; the browser's own cache need not as well.
      cache: "no-store",
      signal: AbortSignal.any([signal, stall.signal]),
    });
    if (!response.ok) throw refusal(url, response);
    return { response, close, body };

    async function* body(): AsyncGenerator<Uint8Array> {
      const reader = response.body?.getReader();
      try {
        for (;;) {
          const next = await reader?.read();
          if (!next || next.done) return;
          clearTimeout(timer);
          timer = setTimeout(stalled, STALL_MS);
          yield next.value;
        }
      } catch (error) {
        signal.throwIfAborted();
        throw new Passing(broken(url, error));
      }
    }
  } catch (error) {
    close();
    signal.throwIfAborted();
    if (error instanceof WispError || error instanceof Passing) throw error;
    throw new Passing(broken(url, error));
  }
}

function refusal(url: string, response: Response): Error {
  const { status, statusText } = response;
  const answer = `${url} answered ${status}${statusText ? ` (${statusText})` : ""}`;
  if (BUSY.has(status)) return new Passing(new WispError("network", `${answer}: try again later`));
  const advice =
    status === 401 || status === 403
      ? "the file needs permission; download it yourself and load it as a File"
      : "check the address";
  return new WispError("network", `${answer}: ${advice}`);
}

function broken(url: string, error: unknown): WispError {
  if (globalThis.navigator?.onLine === false) {
    return new WispError("network", `${url} can't be reached: this device is offline`, { cause: error });
  }
  return new WispError(
    "network",
    `${url} can't be reached (${reason(error)}): check the address and the network, and that the server lets other sites read it (CORS)`,
    { cause: error },
  );
}

function cutShort(file: RemoteFile, at: number): WispError {
  return new WispError("network", `${file.url} ended after ${at} of ${file.size} bytes: try again`);
}

function changed(file: RemoteFile): WispError {
  return new WispError("network", `${file.url} was changed on the server while it was downloaded: load it again`);
}

function sameFile(file: RemoteFile, response: Response, size: number | undefined): void {
  const tag = tagOf(response);
  if (tag && file.tag && tag !== file.tag) throw changed(file);
  if (size !== undefined && file.size !== undefined && size !== file.size) throw changed(file);
}

/** A weak ETag may stand for different bytes, but no server changes only the weakness midway. */
function tagOf({ headers }: Response): string {
  return headers.get("ETag") ?? headers.get("Last-Modified") ?? "";
}

function totalOf({ headers }: Response): number | undefined {
  const total = /\/(\d+)$/.exec(headers.get("Content-Range") ?? "")?.[1];
  return total === undefined ? undefined : Number(total);
}

function lengthOf(response: Response): number | undefined {
  // Of an encoded body it is the length before decoding. That of a whole file from another site
  // may be encoded without our being told.
  const encoded = response.headers.has("Content-Encoding") || (response.type === "cors" && response.status !== 206);
  return encoded ? undefined : contentLength(response);
}

function contentLength({ headers }: Response): number | undefined {
  const length = headers.get("Content-Length");
  return length === null ? undefined : Number(length);
}
