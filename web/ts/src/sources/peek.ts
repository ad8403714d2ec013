// A look at a model: only those bytes are read that are asked for, and nothing is stored.

import { WispError } from "../error.js";
import type { Header, ModelSpec } from "../protocol.js";
import { Entry } from "../store/entry.js";
import type { WasmSource } from "../wasm-types.js";
import { CHUNK } from "./chunks.js";
import { openOrigin, type Origin, type StreamOrigin } from "./origin.js";
import { placeOf, type PlaceOptions } from "./place.js";
import type { Demand } from "./supplied.js";

export interface PeekContext {
  demand: Demand;
  signal: AbortSignal;
}

type Read = (offset: number, length: number) => Promise<Uint8Array>;

/** The size of what comes in order from who does not tell it: as large as can be. */
const UNKNOWN = Number.MAX_SAFE_INTEGER;

/** Where such a file is smaller, its size is found out. */
const SMALL = 1 << 20;

export class Peek implements WasmSource {
  readonly name: string;
  readonly size: number;
  /** The first error of a read: wasm passes on its text only. */
  failure: unknown;
  /** What came from afar, to be given at the next look. */
  readonly parts: Header["parts"] = [];
  readonly #known: Header["parts"];
  readonly #get: Read;
  readonly #close: () => void;

  private constructor({ name, size, parts }: Header, get: Read, close: () => void) {
    this.name = name;
    this.size = size;
    this.#known = parts;
    this.#get = get;
    this.#close = close;
  }

  /** `header`: what an earlier look at it has read. */
  static async open(spec: ModelSpec, options: PlaceOptions, header: Header | undefined, context: PeekContext): Promise<Peek> {
    const closer = new AbortController();
    const signal = AbortSignal.any([context.signal, closer.signal]);
    const origin = async (): Promise<Origin> => {
      const from = spec.kind === "stored" ? entry?.manifest?.url : undefined;
      if (spec.kind !== "stored") return openOrigin(spec, { ...context, signal, onBytes: () => {} });
      if (from) return openOrigin({ kind: "url", url: from }, { ...context, signal, onBytes: () => {} });
      throw new WispError("storage", "this model is not stored any more: load it from its source again");
    };
    const close = () => {
      closer.abort(new WispError("cancelled", "the look is over"));
      entry?.release();
    };
    const place = header ? undefined : await placeOf(spec, options, signal);
    const entry = place === undefined ? undefined : await Entry.find(place, signal);
    try {
      const manifest = entry?.manifest;
      if (header || (manifest && manifest.size > 0)) {
        // The origin is asked for what isn't here.
        let opened: Promise<Read> | undefined;
        const stored = entry && storedRanges(entry);
        const get: Read = async (offset, length) =>
          (await stored?.(offset, length)) ?? (await (opened ??= origin().then(rangesOf)))(offset, length);
        return new Peek(header ?? { name: manifest!.name, size: manifest!.size, parts: [] }, get, close);
      }
      const found = await origin();
      if ("read" in found) return new Peek({ ...found, parts: [] }, rangesOf(found), close);
      const start = new Beginning(found);
      const ended = found.size === undefined && (await start.have(SMALL)) < SMALL;
      const size = ended ? await start.have(SMALL) : (found.size ?? UNKNOWN);
      return new Peek({ name: found.name, size, parts: [] }, (offset, length) => start.read(offset, length), close);
    } catch (error) {
      close();
      throw error;
    }
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    try {
      const known = this.#known.find((part) => part.offset <= offset && offset + length <= part.offset + part.bytes.length);
      if (known) return known.bytes.slice(offset - known.offset, offset - known.offset + length);
      const bytes = await this.#get(offset, length);
      this.parts.push({ offset, bytes: new Uint8Array(bytes) });
      return bytes;
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }

  close(): void {
    this.#close();
  }
}

function rangesOf(origin: Origin): Read {
  if ("read" in origin) return origin.read;
  const start = new Beginning(origin);
  return (offset, length) => start.read(offset, length);
}

/** Ranges of which all is stored; `undefined` for others. */
function storedRanges(entry: Entry): (offset: number, length: number) => Promise<Uint8Array | undefined> {
  const chunks = new Map<number, Promise<Uint8Array | undefined>>();
  return async (offset, length) => {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const index = Math.floor((offset + done) / CHUNK);
      if (!chunks.has(index)) chunks.set(index, entry.read(index));
      const at = (offset + done) % CHUNK;
      const part = (await chunks.get(index))?.subarray(at, at + length - done);
      if (!part?.length) return undefined;
      out.set(part, done);
      done += part.length;
    }
    return out;
  };
}

/** The beginning of what comes in order: no more is taken than is asked for. */
class Beginning {
  readonly #name: string;
  readonly #stream: AsyncIterator<Uint8Array>;
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  constructor({ name, stream }: StreamOrigin) {
    this.#name = name;
    this.#stream = stream()[Symbol.asyncIterator]();
  }

  /** How many bytes there are, once there are `wanted` or no more. */
  async have(wanted: number): Promise<number> {
    while (this.#length < wanted) {
      const { value, done } = await this.#stream.next();
      if (done) break;
      this.#parts.push(value);
      this.#length += value.length;
    }
    return this.#length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if ((await this.have(offset + length)) < offset + length) {
      throw new WispError("input", `${this.#name} ended after ${this.#length} bytes, in its header: it is cut short`);
    }
    const out = new Uint8Array(length);
    let at = 0;
    for (const part of this.#parts) {
      const from = Math.max(offset, at);
      const to = Math.min(offset + length, at + part.length);
      if (from < to) out.set(part.subarray(from - at, to - at), from - offset);
      at += part.length;
    }
    return out;
  }
}
