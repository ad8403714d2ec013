// Where a model's bytes come from, before any storage: by chunk where that is possible, else
// in order.

import { WispError } from "../error.js";
import type { ModelSpec } from "../protocol.js";
import { CHUNK, chunkLength, type GetChunk } from "./chunks.js";
import { probe, range, sequence, type OnBytes } from "./http.js";
import { suppliedRange, suppliedStream, type Demand } from "./supplied.js";

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

export type ChunkOrigin = Facts & { size: number; chunk: GetChunk };
export type StreamOrigin = Facts & { size: number | undefined; stream(): AsyncIterable<Uint8Array> };
export type Origin = ChunkOrigin | StreamOrigin;

/** A stored model has none of its own: see `open.ts`. */
export type OriginSpec = Exclude<ModelSpec, { kind: "stored" }>;

export async function openOrigin(spec: OriginSpec, { demand, signal, onBytes }: OriginContext): Promise<Origin> {
  const counted = async (bytes: Promise<Uint8Array>) => {
    onBytes((await bytes).length);
    return bytes;
  };
  switch (spec.kind) {
    case "url": {
      const file = await probe(spec.url, signal);
      const facts = { name: nameOf(spec.url), url: spec.url, tag: file.tag };
      const { size } = file;
      if (!file.ranges || size === undefined) {
        return { ...facts, size, stream: () => sequence(file, signal, onBytes) };
      }
      const chunk = (index: number) => range(file, index * CHUNK, chunkLength(size, index), signal, onBytes);
      return { ...facts, size, chunk };
    }
    case "blob": {
      const { blob, name } = spec;
      const date = blob instanceof File ? blob.lastModified : undefined;
      return {
        name,
        url: "",
        tag: date === undefined ? "" : `${blob.size}/${date}`,
        size: blob.size,
        chunk: (index) => counted(readBlob(blob, name, index * CHUNK, chunkLength(blob.size, index))),
      };
    }
    case "source": {
      const { name, size, supplier } = spec;
      const chunk = (index: number) =>
        counted(suppliedRange(demand, supplier, name, index * CHUNK, chunkLength(size, index)));
      return { name, url: "", tag: "", size, chunk };
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
  return decodeURIComponent(pathname.slice(pathname.lastIndexOf("/") + 1)) || url;
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
}
