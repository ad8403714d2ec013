// A model made ready to be read: from storage, from its origin, or from both while it is
// downloaded.

import { sha256 as Sha256 } from "../sha256.js";
import { reason, WispError } from "../error.js";
import type { ModelSpec } from "../protocol.js";
import { cannotStore, Entry } from "../store/entry.js";
import { hex } from "../store/manifest.js";
import { checkRoom, sweep } from "../store/models.js";
import type { Progress } from "../types.js";
import { CHUNK, chunkCount, chunkLength, ChunkReader, type GetChunk } from "./chunks.js";
import { Meter } from "./meter.js";
import { openOrigin, type Origin, type OriginSpec, type StreamOrigin } from "./origin.js";
import { placeOf } from "./place.js";
import { BlobStore, Spool } from "./spool.js";
import type { Demand } from "./supplied.js";

export interface OpenOptions {
  cache?: boolean | undefined;
  sha256?: string | undefined;
  name?: string | undefined;
}

export interface OpenContext {
  demand: Demand;
  /** Of the load; it is never aborted later. */
  signal: AbortSignal;
  onProgress(progress: Progress): void;
  onNote(text: string): void;
}

export interface Opened {
  source: ChunkReader;
  /** Stores what wasm did not read, and checks the whole. */
  finish(): Promise<void>;
  /** Gives up what isn't finished, and all locks. */
  close(): Promise<void>;
}

export async function openModel(spec: ModelSpec, options: OpenOptions, context: OpenContext): Promise<Opened> {
  const opening = new Opening(spec, options, context);
  try {
    return await opening.open();
  } catch (error) {
    await opening.close();
    throw error;
  }
}

class Opening implements Opened {
  source!: ChunkReader;
  readonly #spec: ModelSpec;
  readonly #options: OpenOptions;
  readonly #context: OpenContext;
  readonly #closer = new AbortController();
  readonly #signal: AbortSignal;
  readonly #meter: Meter;
  #place: string | undefined;
  #entry: Entry | undefined;
  /** Whether it writes until the load is done. */
  #locked = false;
  /** Storage has failed: from then on it is done without. */
  #unstored = false;
  /** Chunks on their way: who else wants one gets the same. */
  readonly #running = new Map<number, Promise<Uint8Array>>();
  #opened: Promise<Origin> | undefined;
  #spooled: Spool | undefined;
  #finished = false;

  constructor(spec: ModelSpec, options: OpenOptions, context: OpenContext) {
    this.#spec = spec;
    this.#options = options;
    this.#context = context;
    this.#signal = AbortSignal.any([context.signal, this.#closer.signal]);
    this.#meter = new Meter((progress) => context.onProgress(progress));
  }

  async open(): Promise<Opened> {
    const place = await placeOf(this.#spec, this.#options, this.#signal);
    this.#place = place;
    if (place !== undefined) await this.#openEntry(place);
    const stored = this.#entry?.manifest;
    if (stored && this.#entry?.complete) {
      this.source = new ChunkReader(stored.name, stored.size, this.#chunk);
      return this;
    }
    const origin = await this.#origin();
    const name = this.#options.name ?? origin.name;
    if (!("read" in origin)) return this.#openStream(origin, name);
    const { size } = origin;
    await this.#begin(origin, name, size);
    if (this.#entry) await checkRoom(name, size - this.#entry.stored);
    if (this.#entry || origin.url) this.#meter.start(this.#entry?.stored ?? 0, size);
    this.source = new ChunkReader(name, size, this.#chunk);
    return this;
  }

  async finish(): Promise<void> {
    const entry = this.#entry;
    for (let index = 0; entry && index < chunkCount(this.source.size); index++) {
      if (!this.#unstored && !entry.has(index)) await this.source.chunk(index);
    }
    await this.#checkSha256();
    if (entry?.damaged && !this.#unstored) {
      this.#context.onNote("parts of the stored copy were damaged; they were fetched again");
    }
    this.#signal.throwIfAborted();
    this.#finished = true;
    await entry?.touch();
    if (this.#locked) await entry?.unlock().catch((error: unknown) => this.#giveUpStorage(error));
    this.source.clear();
  }

  async close(): Promise<void> {
    this.#closer.abort(new WispError("cancelled", "the model was unloaded"));
    // What is being written must not come after the lock is given back.
    await Promise.allSettled([...this.#running.values(), this.#spooled?.end]);
    await this.#entry?.close();
  }

  async #openEntry(id: string): Promise<void> {
    const waiting = () => this.#meter.say("another tab is loading this model; waiting for it");
    try {
      this.#entry = await Entry.open(id, this.#signal);
      if (this.#entry && !this.#entry.complete) {
        await this.#entry.lock(this.#signal, waiting);
        this.#locked = true;
      }
    } catch {
      this.#signal.throwIfAborted();
      await this.#entry?.close();
      this.#entry = undefined;
    }
    if (this.#entry) return;
    this.#context.onNote("this browser window stores nothing: the model must be fetched again next time");
  }

  /** What is stored may be of another file. */
  async #begin(origin: Origin, name: string, size: number): Promise<void> {
    try {
      await this.#entry?.begin({ ...origin, name, size }, this.#place === undefined);
    } catch (error) {
      this.#giveUpStorage(error);
    }
  }

  /** What comes in order goes to storage first: for good, or until the model is unloaded. */
  async #openStream(origin: StreamOrigin, name: string): Promise<Opened> {
    if (!this.#entry) {
      await sweep();
      const entry = await Entry.open(crypto.randomUUID(), this.#signal).catch(() => undefined);
      this.#entry = entry;
      await entry?.lock(this.#signal, () => {});
      this.#locked = true;
    }
    await this.#begin(origin, name, origin.size ?? 0);
    const entry = this.#unstored ? undefined : this.#entry;
    const expected = origin.size ?? origin.expected ?? 0;
    if (entry) await checkRoom(name, expected - entry.stored);
    this.#meter.start(0, expected);
    const spool = this.#spool(origin);
    const size = origin.size ?? (await spool.end);
    this.#signal.throwIfAborted();
    if (size === 0) throw new WispError("input", `${name} is empty`);
    if (origin.size === undefined) await entry?.end(size);
    this.source = new ChunkReader(name, size, entry ? this.#chunk : (index) => spool.chunk(index));
    return this;
  }

  /** Out of storage, or from the origin into it: what isn't there yet, or was damaged. */
  readonly #chunk: GetChunk = (index) => {
    const running = this.#running.get(index);
    if (running) return running;
    const chunk = this.#storedChunk(index);
    this.#running.set(index, chunk);
    const done = () => this.#running.delete(index);
    chunk.then(done, done);
    return chunk;
  };

  async #storedChunk(index: number): Promise<Uint8Array> {
    const entry = this.#unstored ? undefined : this.#entry;
    const kept = await entry?.read(index);
    if (kept) return kept;
    let locked = false;
    try {
      const waiting = () => this.#meter.say("another tab is loading this model; waiting for it");
      await entry?.lock(this.#signal, waiting);
      locked = true;
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#giveUpStorage(error);
    }
    try {
      return (await entry?.read(index)) ?? (await this.#fetch(index));
    } finally {
      if (locked) await entry?.unlock().catch((error: unknown) => this.#giveUpStorage(error));
    }
  }

  /** From the origin, into storage where there is some. */
  async #fetch(index: number): Promise<Uint8Array> {
    const origin = await this.#origin();
    const { name, size } = this.source;
    const entry = this.#entry;
    if (entry && !entry.manifest && !this.#unstored) {
      // All was cleared while the model was in use.
      const facts = { ...origin, name, size };
      await entry.restart(facts, this.#place === undefined).catch((error: unknown) => this.#giveUpStorage(error));
    }
    if (!("read" in origin)) return this.#spool(origin).chunk(index);
    const bytes = new Uint8Array(await origin.read(index * CHUNK, chunkLength(size, index)));
    await entry?.checked(index, bytes);
    if (!this.#unstored) await entry?.write(index, bytes).catch((error: unknown) => this.#giveUpStorage(error));
    return bytes;
  }

  /** Goes on without storage. Only that it is full ends a load: it would be full next time too. */
  #giveUpStorage(error: unknown): void {
    const why = error instanceof WispError ? error.cause : error;
    const full = why instanceof DOMException && why.name === "QuotaExceededError";
    if (full && !this.#finished) throw error instanceof WispError ? error : cannotStore(this.source?.name ?? "this model", error);
    if (this.#unstored) return;
    this.#unstored = true;
    this.#context.onNote(`the browser's storage failed (${reason(why)}): the model is used, but not stored`);
  }

  /** A stored model's is the URL that it came from. */
  async #origin(): Promise<Origin> {
    this.#opened ??= openOrigin(this.#originSpec(), {
      demand: this.#context.demand,
      signal: this.#signal,
      onBytes: this.#meter.add,
    }).catch((error: unknown) => {
      // The network may be back when it is needed again.
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  #originSpec(): OriginSpec {
    if (this.#spec.kind !== "stored") return this.#spec;
    const stored = this.#entry?.manifest;
    if (stored?.url) return { kind: "url", url: stored.url };
    throw new WispError(
      "storage",
      stored
        ? `the stored copy of ${stored.name} is damaged: delete it, and load it from its file again`
        : "this model is not stored any more: load it from its source again",
    );
  }

  #spool(origin: StreamOrigin): Spool {
    // A second one, if a chunk was damaged since: what is stored is not written again.
    if (this.#spooled === undefined || this.#spooled.ended) {
      const store = this.#unstored ? undefined : this.#entry;
      this.#spooled = new Spool(origin.name, origin.stream(), store ?? new BlobStore());
    }
    return this.#spooled;
  }

  async #checkSha256(): Promise<void> {
    const wanted = this.#options.sha256?.toLowerCase();
    const entry = this.#entry;
    if (wanted === undefined || entry?.manifest?.sha256 === wanted) return;
    const { name, size } = this.source;
    const hash = Sha256.create();
    for (let index = 0, loaded = 0; index < chunkCount(size); index++) {
      const chunk = await this.source.chunk(index);
      hash.update(chunk);
      loaded += chunk.length;
      this.#context.onProgress({ phase: "verify", loaded, total: size });
    }
    const found = hex(hash.digest());
    if (found === wanted) return entry?.setSha256(found).catch((error: unknown) => this.#giveUpStorage(error));
    await entry?.clear();
    throw new WispError("network", `${name} is not the expected file: its SHA-256 is ${found}, not ${wanted}`);
  }
}
