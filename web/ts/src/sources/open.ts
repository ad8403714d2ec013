// A model made ready to be read: from storage, from its origin, or from both while it is
// downloaded.

import { sha256 as Sha256 } from "../sha256.js";
import { WispError } from "../error.js";
import type { ModelSpec } from "../protocol.js";
import { Entry } from "../store/entry.js";
import { hex, idOf } from "../store/manifest.js";
import { checkRoom, sweep } from "../store/models.js";
import type { Progress } from "../types.js";
import { chunkCount, ChunkReader, type GetChunk } from "./chunks.js";
import { Meter } from "./meter.js";
import { openOrigin, type Origin, type OriginSpec, type StreamOrigin } from "./origin.js";
import { BlobStore, Spool } from "./spool.js";
import type { Demand } from "./supplied.js";

export interface OpenOptions {
  cache?: boolean | undefined;
  sha256?: string | undefined;
  name?: string | undefined;
  /** Only a look at it: use what is stored, store nothing. */
  peek?: boolean;
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
    const place = await placeOf(this.#spec, this.#options);
    this.#place = place;
    if (place !== undefined) await this.#openEntry(place);
    const stored = this.#entry?.manifest;
    if (stored && this.#entry?.complete) {
      this.source = new ChunkReader(stored.name, stored.size, this.#storedChunk);
      return this;
    }
    const origin = await this.#origin();
    const name = this.#options.name ?? origin.name;
    if (!("chunk" in origin)) return this.#openStream(origin, name);
    const { size } = origin;
    let get: GetChunk = origin.chunk;
    if (this.#entry) {
      await this.#entry.begin({ ...origin, name, size }, false);
      await checkRoom(name, size - this.#entry.stored);
      get = this.#storedChunk;
    }
    if (this.#entry || origin.url) this.#meter.start(this.#entry?.stored ?? 0, size);
    this.source = new ChunkReader(name, size, get);
    return this;
  }

  async finish(): Promise<void> {
    const entry = this.#entry;
    for (let index = 0; entry && index < chunkCount(this.source.size); index++) {
      if (!entry.has(index)) await this.source.chunk(index);
    }
    await this.#checkSha256();
    if (entry?.damaged) this.#context.onNote("parts of the stored copy were damaged; they were fetched again");
    await entry?.touch();
    await entry?.unlock();
    this.source.clear();
    this.#finished = true;
  }

  async close(): Promise<void> {
    this.#closer.abort(new WispError("cancelled", "the model was unloaded"));
    await this.#entry?.close();
  }

  async #openEntry(id: string): Promise<void> {
    const entry = await Entry.open(id, this.#signal);
    this.#entry = entry;
    if (!entry) {
      return this.#context.onNote("this browser window stores nothing: the model must be fetched again next time");
    }
    if (!entry.complete && this.#options.peek) {
      this.#entry = undefined;
      return entry.close();
    }
    if (!entry.complete) {
      await entry.lock(this.#signal, () => this.#meter.say("another tab is loading this model; waiting for it"));
    }
  }

  /** What comes in order goes to storage first: for good, or until the model is unloaded. */
  async #openStream(origin: StreamOrigin, name: string): Promise<Opened> {
    if (!this.#entry && !this.#options.peek) {
      await sweep();
      this.#entry = await Entry.open(crypto.randomUUID(), this.#signal);
      await this.#entry?.lock(this.#signal, () => {});
    }
    const entry = this.#entry;
    await entry?.begin({ ...origin, name, size: origin.size ?? 0 }, this.#place === undefined);
    if (entry && origin.size) await checkRoom(name, origin.size - entry.stored);
    this.#meter.start(0, origin.size ?? 0);
    const spool = this.#spool(origin);
    const size = origin.size ?? (await spool.end);
    if (size === 0) throw new WispError("input", `${name} is empty`);
    if (origin.size === undefined) await entry?.end(size);
    this.source = new ChunkReader(name, size, entry ? this.#storedChunk : (index) => spool.chunk(index));
    return this;
  }

  /** Out of storage, or from the origin into it: what isn't there yet, or was damaged. */
  readonly #storedChunk: GetChunk = async (index) => {
    const entry = this.#entry!;
    const kept = await entry.read(index);
    if (kept) return kept;
    await entry.lock(this.#signal, () => this.#meter.say("another tab is loading this model; waiting for it"));
    const written = await entry.read(index);
    if (written) return written;
    const origin = await this.#origin();
    if (!("chunk" in origin)) return this.#spool(origin).chunk(index);
    const bytes = new Uint8Array(await origin.chunk(index));
    await entry.write(index, bytes);
    if (this.#finished) await entry.unlock();
    return bytes;
  };

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
      this.#spooled = new Spool(origin.name, origin.stream(), this.#entry ?? new BlobStore());
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
    if (found === wanted) return entry?.setSha256(found);
    await entry?.clear();
    throw new WispError("network", `${name} is not the expected file: its SHA-256 is ${found}, not ${wanted}`);
  }
}

/** The model's place in storage; `undefined` for one that is not to be stored. */
async function placeOf(spec: ModelSpec, { cache, name }: OpenOptions): Promise<string | undefined> {
  if (spec.kind === "stored") return spec.id;
  if (cache === false) return undefined;
  switch (spec.kind) {
    case "url":
      return idOf(spec.url);
    case "blob": {
      const date = spec.blob instanceof File ? spec.blob.lastModified : "";
      return cache ? idOf(`blob ${spec.name} ${spec.blob.size} ${date}`) : undefined;
    }
    case "source":
      return cache ? idOf(`source ${spec.name} ${spec.size}`) : undefined;
    case "stream":
      return name === undefined ? undefined : idOf(`stream ${name}`);
  }
}
