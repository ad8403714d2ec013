// A model's bytes in chunks: the unit of requests, of storage and of verification.

import type { WasmSource } from "../wasm-types.js";

export const CHUNK = 4 << 20;

/** Chunks asked for ahead of the reader. */
const AHEAD = 3;

/**
 * Chunks kept in memory. Wasm reads mostly in the order of the file, but tensors that are
 * woven together (gate and up) by turns: up to three places at once, each with those ahead.
 */
const KEEP = 3 * (AHEAD + 1);

export function chunkCount(size: number): number {
  return Math.ceil(size / CHUNK);
}

/** Bytes of a chunk; the last one is shorter. */
export function chunkLength(size: number, index: number): number {
  return Math.min(CHUNK, size - index * CHUNK);
}

/** Gives a chunk, the same bytes each time. */
export type GetChunk = (index: number) => Promise<Uint8Array>;

/** Reads any range out of chunks, a bounded number of which are in memory. */
export class ChunkReader implements WasmSource {
  readonly name: string;
  readonly size: number;
  /** The first error of a read: wasm passes on its text only. */
  failure: unknown;
  readonly #get: GetChunk;
  /** The least recently used first. */
  readonly #kept = new Map<number, Promise<Uint8Array>>();

  constructor(name: string, size: number, get: GetChunk) {
    this.name = name;
    this.size = size;
    this.#get = get;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    try {
      if (offset + length > this.size) {
        throw new RangeError(`bytes ${offset} to ${offset + length} are past the end of ${this.name} (${this.size} bytes)`);
      }
      const out = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const at = offset + done;
        const chunk = await this.chunk(Math.floor(at / CHUNK));
        const part = chunk.subarray(at % CHUNK, (at % CHUNK) + length - done);
        out.set(part, done);
        done += part.length;
      }
      return out;
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }

  /** A chunk, while those behind it are on their way. */
  chunk(index: number): Promise<Uint8Array> {
    const wanted = this.#start(index);
    const end = Math.min(index + AHEAD, chunkCount(this.size) - 1);
    for (let next = index + 1; next <= end; next++) {
      // Who wants it later hears of its failure.
      this.#start(next).catch(() => {});
    }
    return wanted;
  }

  /** Forgets what is in memory. */
  clear(): void {
    this.#kept.clear();
  }

  #start(index: number): Promise<Uint8Array> {
    const kept = this.#kept.get(index);
    this.#kept.delete(index);
    const chunk = kept ?? this.#get(index);
    this.#kept.set(index, chunk);
    // A failure is not kept: the next reader tries again.
    if (!kept) chunk.catch(() => this.#kept.get(index) === chunk && this.#kept.delete(index));
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEEP) break;
      this.#kept.delete(oldest);
    }
    return chunk;
  }
}
