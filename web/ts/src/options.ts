// Options of `load`, checked: a wrong one is an error that names it.

import { choice, integer, text, U32 } from "./check.js";
import { WispError } from "./error.js";
import type { HostOptions } from "./protocol.js";
import type { LoadOptions } from "./types.js";

const KNOWN = new Set<keyof LoadOptions>([
  "onProgress",
  "onEvent",
  "signal",
  "contextLength",
  "maxSequences",
  "kv",
  "caps",
  "memoryLimit",
  "lookup",
  "autotune",
  "worker",
  "cache",
  "sha256",
  "name",
]);

export function checkLoadOptions(options: LoadOptions): HostOptions {
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name as keyof LoadOptions)) {
      throw new WispError("input", `${name} is not an option of load; there are ${[...KNOWN].join(", ")}`);
    }
  }
  const sha256 = text("sha256", options.sha256);
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) {
    throw new WispError("input", `sha256 is "${sha256}"; it must be 64 hexadecimal digits`);
  }
  return {
    contextLength: integer("contextLength", options.contextLength, 1, U32),
    maxSequences: integer("maxSequences", options.maxSequences, 1, 64),
    kv: choice("kv", options.kv, ["f32", "f16", "q8_0", "q4_0"]),
    caps: text("caps", options.caps),
    memoryLimit: integer("memoryLimit", options.memoryLimit, 1),
    lookup: choice("lookup", options.lookup, [true, false]),
    autotune: choice("autotune", options.autotune, [true, false]),
    cache: choice("cache", options.cache, [true, false]),
    sha256,
    name: text("name", options.name),
  };
}
