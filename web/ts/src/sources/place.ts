// A model's place in storage: by what it is known.

import type { ModelSpec } from "../protocol.js";
import { digest, idOf } from "../store/manifest.js";
import { CHUNK } from "./chunks.js";

export interface PlaceOptions {
  cache?: boolean | undefined;
  name?: string | undefined;
}

/** Whether a load adds to what is stored. */
export function isStored({ kind }: ModelSpec, { cache, name }: PlaceOptions): boolean {
  switch (kind) {
    case "url":
      return cache !== false;
    case "stream":
      return cache !== false && name !== undefined;
    case "blob":
    case "source":
      return cache === true;
    case "stored":
      return false;
  }
}

/** `undefined` for a model that is not to be stored. */
export async function placeOf(spec: ModelSpec, options: PlaceOptions, signal: AbortSignal): Promise<string | undefined> {
  if (spec.kind === "stored") return spec.id;
  if (!isStored(spec, options)) return undefined;
  switch (spec.kind) {
    case "url":
      return idOf(spec.url);
    case "blob":
      return idOf(`blob ${isDated(spec.blob) ? fileKey(spec.name, spec.blob) : await contentKey(spec.blob, signal)}`);
    case "source":
      return idOf(`source ${spec.name} ${spec.size}`);
    case "stream":
      return idOf(`stream ${options.name}`);
  }
}

const isDated = (blob: Blob): blob is File => blob instanceof File && blob.lastModified > 0;

const fileKey = (name: string, { size, lastModified }: File) => `${name} ${size} ${lastModified}`;

/** A blob has neither name nor date: only its content tells it from others. */
async function contentKey(blob: Blob, signal: AbortSignal): Promise<string> {
  let key = "";
  for (let at = 0; at < blob.size; at += CHUNK) {
    signal.throwIfAborted();
    key = await digest(new TextEncoder().encode(key + (await digest(await blob.slice(at, at + CHUNK).arrayBuffer()))));
  }
  return key;
}
