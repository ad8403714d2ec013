// A stored model: a folder with a manifest and a file for each chunk. Every chunk is verified
// when it is read. Any number of tabs may read; one at a time writes.

import { reason, WispError } from "../error.js";
import { chunkLength } from "../sources/chunks.js";
import type { ChunkStore } from "../sources/spool.js";
import { openRoot, readFile, removeEntry, writeFile, writeFileAtomically, type Folder } from "./files.js";
import { hold, useLock, writeLock, type Release } from "./locks.js";
import { digest, isComplete, newManifest, parseManifest, type Facts, type Manifest } from "./manifest.js";

export const MANIFEST = "manifest.json";

/** Its date tells when the model was last used: no two tabs can tread on each other there. */
export const USED = "used";

/** A crash loses the record of chunks of so long, not more. */
const SAVE_MS = 1000;

export class Entry implements ChunkStore {
  readonly id: string;
  /** `undefined` until `begin`, for a model that isn't here. */
  manifest: Manifest | undefined;
  /** Chunks that were not what had been written. */
  damaged = 0;
  readonly #root: Folder;
  #folder: Folder;
  readonly #inUse: Release;
  /** Hashes of damaged chunks: what comes in their place must be the same. */
  readonly #lost = new Map<number, string>();
  #writing: Release | undefined;
  #locking: Promise<void> | undefined;
  #saved = 0;

  private constructor(id: string, root: Folder, folder: Folder, inUse: Release) {
    this.id = id;
    this.#root = root;
    this.#folder = folder;
    this.#inUse = inUse;
  }

  /** `undefined` where the browser gives no storage. */
  static async open(id: string, signal: AbortSignal): Promise<Entry | undefined> {
    const root = await openRoot();
    if (!root) return undefined;
    const inUse = await hold(useLock(id), { mode: "shared", signal });
    const folder = await root.getDirectoryHandle(id, { create: true });
    const entry = new Entry(id, root, folder, inUse ?? (() => {}));
    await entry.#load();
    return entry;
  }

  get complete(): boolean {
    return this.manifest !== undefined && isComplete(this.manifest);
  }

  /** Becomes the one who writes. `onWait` is called if another tab is. */
  async lock(signal: AbortSignal, onWait: () => void): Promise<void> {
    if (this.#writing) return;
    this.#locking ??= this.#lock(signal, onWait).finally(() => (this.#locking = undefined));
    return this.#locking;
  }

  async #lock(signal: AbortSignal, onWait: () => void): Promise<void> {
    const name = writeLock(this.id);
    this.#writing = await hold(name, { mode: "exclusive", ifAvailable: true });
    if (!this.#writing) {
      onWait();
      this.#writing = await hold(name, { mode: "exclusive", signal });
    }
    // The one before may have written, or given up and removed the folder.
    this.#folder = await this.#root.getDirectoryHandle(this.id, { create: true });
    await this.#load();
  }

  /** Lets others write. */
  async unlock(): Promise<void> {
    if (!this.#writing) return;
    try {
      if (this.manifest) await this.#save();
    } finally {
      this.#writing();
      this.#writing = undefined;
    }
  }

  /** Starts the entry; what is stored is kept if it is surely of the same file. */
  async begin(of: Facts, temporary: boolean): Promise<void> {
    const old = this.manifest;
    const same = old && of.tag !== "" && old.tag === of.tag && old.size === of.size;
    if (!same) await this.clear();
    this.manifest = { ...(same ? old : newManifest(of)), name: of.name };
    if (temporary) this.manifest.temporary = true;
    await this.#save();
  }

  /** The size of what came in order, known at its end. */
  async end(size: number): Promise<void> {
    this.manifest!.size = size;
    await this.#save();
  }

  has(index: number): boolean {
    return this.manifest?.hashes[index] != null;
  }

  /** Bytes that are stored. */
  get stored(): number {
    return this.manifest ? storedBytes(this.manifest) : 0;
  }

  async read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const hash = this.manifest?.hashes[index];
    if (!hash) return undefined;
    const file = await readFile(this.#folder, String(index));
    const bytes = file && new Uint8Array(await file.arrayBuffer());
    if (bytes && (await digest(bytes)) === hash) return bytes;
    this.damaged += 1;
    this.#lost.set(index, hash);
    this.manifest!.hashes[index] = null;
    return undefined;
  }

  async write(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const manifest = this.manifest!;
    const hash = await digest(bytes);
    const lost = this.#lost.get(index);
    if (lost !== undefined && lost !== hash) {
      await this.clear();
      throw new WispError(
        "storage",
        `the stored copy of ${manifest.name} was damaged and its source has changed since: load it again`,
      );
    }
    try {
      await writeFile(this.#folder, String(index), bytes);
      manifest.hashes[index] = hash;
      if (Date.now() - this.#saved > SAVE_MS) await this.#save();
    } catch (error) {
      throw new WispError(
        "storage",
        `${manifest.name} can't be stored (${reason(error)}): free some space, or load it with cache: false`,
        { cause: error },
      );
    }
  }

  async setSha256(sha256: string): Promise<void> {
    this.manifest!.sha256 = sha256;
    await this.#save();
  }

  /** Notes that it was used now. */
  async touch(): Promise<void> {
    await writeFile(this.#folder, USED, new Uint8Array([1])).catch(() => {});
  }

  /** Forgets everything that is stored. */
  async clear(): Promise<void> {
    this.manifest = undefined;
    this.#lost.clear();
    // First, so that a crash leaves chunks without a manifest, and not the reverse.
    await removeEntry(this.#folder, MANIFEST);
    for await (const name of this.#folder.keys()) await removeEntry(this.#folder, name);
  }

  /** Releases all locks. What isn't to stay, or never began, leaves nothing behind. */
  async close(): Promise<void> {
    if (!this.manifest || this.manifest.temporary) {
      await this.lock(AbortSignal.timeout(1000), () => {}).catch(() => {});
      const going = this.#writing && (!this.manifest || this.manifest.temporary);
      if (going) {
        this.manifest = undefined;
        await removeEntry(this.#root, this.id);
      }
    }
    await this.unlock();
    this.#inUse();
  }

  async #load(): Promise<void> {
    const file = await readFile(this.#folder, MANIFEST);
    this.manifest = file && parseManifest(await file.text());
  }

  async #save(): Promise<void> {
    this.#saved = Date.now();
    await writeFileAtomically(this.#folder, MANIFEST, JSON.stringify(this.manifest));
  }
}

export function storedBytes({ size, hashes }: Manifest): number {
  return hashes.reduce((sum, hash, index) => sum + (hash === null ? 0 : chunkLength(size, index)), 0);
}
