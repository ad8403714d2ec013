// Where a model's bytes come from, before any storage: by chunk where that is possible, else
// in order.

import { WispError } from "../error.js";
import type { ModelSpec } from "../protocol.js";
import { probe, range, sequence, type OnBytes } from "./http.js";
import { joined, splitUrls } from "./split.js";
import { suppliedRange, suppliedStream, until, type Demand } from "./supplied.js";

export interface OriginContext {
  demand: Demand;
  signal: AbortSignal;
  onBytes: OnBytes;
}

interface Facts {
  name: string;
  url: string;
  /** What the contents are known by; empty for nothing that is sure. */
  tag: string;
}

export type RangeOrigin = Facts & { size: number; read(offset: number, length: number): Promise<Uint8Array> };
export type StreamOrigin = Facts & {
  size: number | undefined;
  /** What it probably is, where that isn't sure. */
  expected?: number | undefined;
  stream(): AsyncIterable<Uint8Array>;
};
export type Origin = RangeOrigin | StreamOrigin;

/** A stored model has none of its own: see `open.ts`. */
export type OriginSpec = Exclude<ModelSpec, { kind: "stored" }>;

export async function openOrigin(spec: OriginSpec, context: OriginContext): Promise<Origin> {
  const { signal, onBytes } = context;
  // A page that has given up answers no more.
  const demand: Demand = (...asked) => until(signal, context.demand(...asked));
  const counted = async (bytes: Promise<Uint8Array>) => {
    onBytes((await bytes).length);
    return bytes;
  };
  switch (spec.kind) {
    case "url": {
      const urls = splitUrls(spec.url);
      if (urls) {
        return { name: nameOf(urls[0]!), url: urls[0]!, ...(await joined(urls, signal, onBytes)) };
      }
      const file = await probe(spec.url, signal);
      const facts = { name: nameOf(spec.url), url: spec.url, tag: file.tag };
      const { size } = file;
      if (!file.ranges || size === undefined) {
        return { ...facts, size, expected: file.expected, stream: () => sequence(file, signal, onBytes) };
      }
      return { ...facts, size, read: (offset, length) => range(file, offset, length, signal, onBytes) };
    }
    case "blob": {
      const { blob, name } = spec;
      const date = blob instanceof File ? blob.lastModified : undefined;
      return {
        name,
        url: "",
        tag: date === undefined ? "" : `${blob.size}/${date}`,
        size: blob.size,
        read: (offset, length) => counted(readBlob(blob, name, offset, length)),
      };
    }
    case "source": {
      const { name, size, supplier } = spec;
      const read = (offset: number, length: number) => counted(suppliedRange(demand, supplier, name, offset, length));
      return { name, url: "", tag: "", size, read };
    }
    case "stream": {
      const stream = () => count(suppliedStream(demand, spec.supplier), signal, onBytes);
      return { name: spec.name, url: "", tag: "", size: undefined, stream };
    }
  }
}

/** The last part of a URL's path. */
export function nameOf(url: string): string {
  const { pathname } = new URL(url);
  const last = pathname.slice(pathname.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(last) || url;
  } catch {
    // A `%` that is only a `%`.
    return last;
  }
}

async function readBlob(blob: Blob, name: string, offset: number, length: number): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  } catch (error) {
    throw new WispError(
      "input",
      `${name} can't be read any more: it was changed, moved or removed since it was picked; pick it again`,
      { cause: error },
    );
  }
}

async function* count(
  stream: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onBytes: OnBytes,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of stream) {
    signal.throwIfAborted();
    onBytes(bytes.length);
    yield bytes;
  }
  // Who gave up may have ended the stream.
  signal.throwIfAborted();
}
