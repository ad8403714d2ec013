// A stored model: a folder with a manifest and a file for each chunk. Every chunk is verified
// when it is read. Any number of tabs may read; one at a time writes.

import { reason, WispError } from "../error.js";
import { chunkLength } from "../sources/chunks.js";
import type { ChunkStore } from "../sources/spool.js";
import { isNotFound, openRoot, readFile, readText, removeEntry, writeFile, writeFileAtomically, type Folder } from "./files.js";
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
  #folder: Folder;
  readonly #inUse: Release;
  /** Hashes of chunks that are gone or damaged: what comes in their place must be the same. */
  readonly #lost = new Map<number, string>();
  /** Of the one who writes. */
  #writing: Release | undefined;
  /** How many want it. */
  #writers = 0;
  /** Locking and unlocking happen one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #saved = 0;
  #saving: Promise<void> = Promise.resolve();

  private constructor(id: string, folder: Folder, inUse: Release) {
    this.id = id;
    this.#folder = folder;
    this.#inUse = inUse;
  }

  /** `undefined` where the browser gives no storage. */
  static async open(id: string, signal: AbortSignal): Promise<Entry | undefined> {
    return this.#open(id, true, signal);
  }

  /** Only a model that is here; `undefined` where it isn't. */
  static async find(id: string, signal: AbortSignal): Promise<Entry | undefined> {
    try {
      return await this.#open(id, false, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  static async #open(id: string, create: boolean, signal: AbortSignal): Promise<Entry | undefined> {
    const root = await openRoot();
    if (!root) return undefined;
    const inUse = await hold(useLock(id), { mode: "shared", signal });
    try {
      const folder = await root.getDirectoryHandle(id, { create });
      const entry = new Entry(id, folder, inUse ?? (() => {}));
      await entry.#load();
      return entry;
    } catch (error) {
      inUse?.();
      throw error;
    }
  }

  get complete(): boolean {
    return this.manifest !== undefined && isComplete(this.manifest);
  }

  /** Becomes the one who writes, until `unlock` is called as often. `onWait` is called if another tab is. */
  lock(signal: AbortSignal, onWait: () => void): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#writing) await this.#lock(signal, onWait);
      this.#writers += 1;
    });
  }

  async #lock(signal: AbortSignal, onWait: () => void): Promise<void> {
    signal.throwIfAborted();
    const name = writeLock(this.id);
    let writing = await hold(name, { mode: "exclusive", ifAvailable: true });
    if (!writing) {
      onWait();
      writing = await hold(name, { mode: "exclusive", signal });
    }
    try {
      // The one before may have written, or given up and removed the folder.
      const root = await openRoot();
      if (!root) throw new DOMException("the browser's storage is gone", "NotFoundError");
      this.#folder = await root.getDirectoryHandle(this.id, { create: true });
      await this.#load();
      this.#writing = writing;
    } catch (error) {
      writing?.();
      throw error;
    }
  }

  /** Lets others write, when nobody here wants to any more. */
  unlock(): Promise<void> {
    return this.#inTurn(async () => {
      this.#writers -= 1;
      if (this.#writers === 0) await this.#release();
    });
  }

  async #release(): Promise<void> {
    const writing = this.#writing;
    try {
      if (writing && this.manifest) await this.#save();
    } finally {
      this.#writing = undefined;
      writing?.();
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** Starts the entry; what is stored is kept if it is surely of the same file. */
  async begin(of: Facts, temporary: boolean): Promise<void> {
    const old = this.manifest;
    this.#lost.clear();
    const same = old && of.tag !== "" && old.tag === of.tag && old.size === of.size;
    if (!same) await this.clear();
    this.manifest = { ...(same ? old : newManifest(of)), name: of.name };
    if (temporary) this.manifest.temporary = true;
    await this.#save();
  }

  /** Starts the entry of a model in use anew: all that was stored is gone. */
  async restart(of: Facts, temporary: boolean): Promise<void> {
    this.manifest = newManifest(of);
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

  /** `undefined`, too, where storage fails: then the chunk is as good as not there. */
  async read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const hash = this.manifest?.hashes[index];
    if (!hash) return undefined;
    const file = readFile(this.#folder, String(index)).then((file) => file?.arrayBuffer());
    const buffer = await file.catch(() => undefined);
    const bytes = buffer && new Uint8Array(buffer);
    if (bytes && (await digest(bytes)) === hash) return bytes;
    this.damaged += 1;
    this.#lost.set(index, hash);
    if (this.manifest) this.manifest.hashes[index] = null;
    return undefined;
  }

  async write(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const hash = await this.checked(index, bytes);
    const { manifest } = this;
    if (!manifest) throw new DOMException("the stored copy is gone", "NotFoundError");
    try {
      await writeFile(this.#folder, String(index), bytes);
      manifest.hashes[index] = hash;
      if (Date.now() - this.#saved > SAVE_MS) await this.#save();
    } catch (error) {
      throw cannotStore(manifest.name, error);
    }
  }

  /** A chunk's hash, if it is what it was when it was last read. */
  async checked(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    const hash = await digest(bytes);
    const lost = this.#lost.get(index);
    if (lost === undefined || lost === hash) return hash;
    const name = this.manifest?.name ?? "this model";
    await this.clear().catch(() => {});
    throw new WispError("storage", `the stored copy of ${name} was damaged and its source has changed since: load it again`);
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
    await this.#saving;
    // First, so that a crash leaves chunks without a manifest, and not the reverse.
    await removeEntry(this.#folder, MANIFEST);
    for await (const name of this.#folder.keys()) await removeEntry(this.#folder, name);
  }

  /** The end of a look: nothing was changed. */
  release(): void {
    this.#inUse();
  }

  /** Releases all locks. What isn't to stay, or can't be gone on with, leaves nothing behind. */
  async close(): Promise<void> {
    try {
      await this.#inTurn(async () => {
        if (this.#useless && !this.#writing) await this.#lock(AbortSignal.timeout(1000), () => {}).catch(() => {});
        if (this.#useless && this.#writing) {
          this.manifest = undefined;
          await this.#saving;
          const root = await openRoot();
          if (root) await removeEntry(root, this.id);
        }
        await this.#release();
      });
    } catch {
      // What the browser does not let us tidy up is swept when room is counted.
    } finally {
      this.#inUse();
    }
  }

  /** A stream that did not reach its end has no size. */
  get #useless(): boolean {
    return !this.manifest || this.manifest.temporary === true || this.manifest.size === 0;
  }

  async #load(): Promise<void> {
    const before = this.manifest?.hashes ?? [];
    await this.#saving;
    const file = await readText(this.#folder, MANIFEST);
    this.manifest = file && parseManifest(file.text);
    const now = this.manifest?.hashes ?? [];
    before.forEach((hash, index) => hash !== null && now[index] == null && this.#lost.set(index, hash));
  }

  /** One after the other: each replaces the file. */
  #save(): Promise<void> {
    this.#saved = Date.now();
    const manifest = JSON.stringify(this.manifest);
    const saved = this.#saving.then(() => writeFileAtomically(this.#folder, MANIFEST, manifest));
    this.#saving = saved.catch(() => {});
    return saved;
  }
}

export function cannotStore(name: string, error: unknown): WispError {
  const message = `${name} can't be stored (${reason(error)}): free some space, or load it with cache: false`;
  return new WispError("storage", message, { cause: error });
}

export function storedBytes({ size, hashes }: Manifest): number {
  return hashes.reduce((sum, hash, index) => sum + (hash === null ? 0 : chunkLength(size, index)), 0);
}
