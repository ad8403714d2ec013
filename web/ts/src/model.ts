// What a caller calls a model, as it can be sent to the host.

import type { Client, Supplier } from "./client.js";
import { WispError } from "./error.js";
import type { ModelSpec } from "./protocol.js";
import { joinedFiles, splitUrls } from "./sources/split.js";
import type { Model, Source, StoredModel } from "./types.js";

export interface Described {
  spec: ModelSpec;
  /** Lets go of a stream that wasn't read to its end. */
  release(): void;
}

export function describe(model: Model, name: string | undefined, client: Client, signal: AbortSignal | undefined): Described {
  const spec = (spec: ModelSpec): Described => ({ spec, release: () => {} });
  if (typeof model === "string" || model instanceof URL) {
    const url = absolute(model);
    // All files of a split model are one model.
    return spec({ kind: "url", url: splitUrls(url)?.[0] ?? url });
  }
  if (Array.isArray(model)) {
    if (model.length === 0 || !model.every((file) => file instanceof Blob)) throw notAModel();
    const { blob, name: own } = joinedFiles(model);
    return spec({ kind: "blob", blob, name: name ?? own });
  }
  if (model instanceof Blob) {
    return spec({ kind: "blob", blob: model, name: name ?? (model instanceof File ? model.name : "the given Blob") });
  }
  if (model instanceof ReadableStream) return stream(model, name, client, signal);
  if (typeof model !== "object" || model === null) throw notAModel();
  if (isSource(model)) {
    const supplier = client.supply((offset, length) => model.read(offset, length));
    return spec({ kind: "source", supplier, name: name ?? model.name, size: model.size });
  }
  if (isStored(model)) return spec({ kind: "stored", id: model.id });
  throw notAModel();
}

function notAModel(): WispError {
  return new WispError(
    "input",
    "model is not something to load: give a URL, a File or Blob, the Files of a split model, a ReadableStream, a Source, or one of listModels()",
  );
}

function stream(
  model: ReadableStream<Uint8Array>,
  name: string | undefined,
  client: Client,
  signal: AbortSignal | undefined,
): Described {
  if (model.locked) {
    throw new WispError("input", "model is a stream that someone else is reading: give one that is not locked");
  }
  const reader = model.getReader();
  let released = false;
  const next: Supplier = async () => {
    const { value, done } = await reader.read();
    if (!done) return value;
    // Who gives up cancels the stream, which then seems to be at its end.
    if (released || signal?.aborted) throw new WispError("cancelled", "the load was given up");
    return null;
  };
  const spec = { kind: "stream" as const, supplier: client.supply(next), name: name ?? "the given stream" };
  const release = () => {
    released = true;
    reader.cancel().catch(() => {});
  };
  return { spec, release };
}

function absolute(url: string | URL): string {
  const base = typeof document === "undefined" ? globalThis.location?.href : document.baseURI;
  try {
    const { protocol, href } = new URL(url, base);
    if (protocol === "https:" || protocol === "http:") return href;
  } catch {
    // Said below.
  }
  throw new WispError("input", `model is "${url}"; it must be an http or https address`);
}

function isSource(model: object): model is Source {
  return "read" in model && typeof model.read === "function" && "size" in model && typeof model.size === "number";
}

function isStored(model: object): model is StoredModel {
  return "id" in model && typeof model.id === "string" && /^[0-9a-f]{32}$/.test(model.id);
}
