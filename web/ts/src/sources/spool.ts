// A model that comes in order, and once only: its chunks are put away as they come, and read
// from there.

import { WispError } from "../error.js";
import { CHUNK } from "./chunks.js";

/** Keeps chunks outside of wasm's memory. */
export interface ChunkStore {
  has(index: number): boolean;
  /** `undefined` where it isn't kept, or no longer what was written. */
  read(index: number): Promise<Uint8Array | undefined>;
  write(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** Where there is no private storage. The browser may move blobs to its disk. */
export class BlobStore implements ChunkStore {
  readonly #blobs = new Map<number, Blob>();

  has(index: number): boolean {
    return this.#blobs.has(index);
  }

  async read(index: number): Promise<Uint8Array | undefined> {
    const blob = this.#blobs.get(index);
    return blob && new Uint8Array(await blob.arrayBuffer());
  }

  async write(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#blobs.set(index, new Blob([bytes]));
  }
}

export class Spool {
  /** Settles when all has come, with the size. */
  readonly end: Promise<number>;
  ended = false;
  readonly #store: ChunkStore;
  readonly #name: string;
  #wake: (() => void)[] = [];

  constructor(name: string, stream: AsyncIterable<Uint8Array>, store: ChunkStore) {
    this.#name = name;
    this.#store = store;
    this.end = this.#pump(stream);
    // Readers hear of a failure when they wait for a chunk.
    this.end
      .catch(() => {})
      .finally(() => {
        this.ended = true;
        this.#wakeAll();
      });
  }

  /** Waits until it has come. */
  async chunk(index: number): Promise<Uint8Array> {
    while (!this.#store.has(index)) {
      if (this.ended) {
        await this.end;
        throw new WispError("storage", `the stored copy of ${this.#name} was damaged: load it again`);
      }
      await Promise.race([this.end, new Promise<void>((resolve) => this.#wake.push(resolve))]);
    }
    // Damaged between the two: the next turn of the caller says so.
    return (await this.#store.read(index)) ?? this.chunk(index);
  }

  async #pump(stream: AsyncIterable<Uint8Array>): Promise<number> {
    let size = 0;
    let chunk = new Uint8Array(CHUNK);
    const put = async (bytes: Uint8Array<ArrayBuffer>, index: number) => {
      if (!this.#store.has(index)) await this.#store.write(index, bytes);
      this.#wakeAll();
    };
    for await (let bytes of stream) {
      while (bytes.length > 0) {
        const at = size % CHUNK;
        const part = bytes.subarray(0, CHUNK - at);
        chunk.set(part, at);
        size += part.length;
        bytes = bytes.subarray(part.length);
        if (size % CHUNK === 0) {
          await put(chunk, size / CHUNK - 1);
          chunk = new Uint8Array(CHUNK);
        }
      }
    }
    if (size % CHUNK !== 0) await put(chunk.slice(0, size % CHUNK), Math.floor(size / CHUNK));
    return size;
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
