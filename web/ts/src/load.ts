// `load` and `planMemory`: from a model and options to an engine, or to numbers.

import { nextId, type Client } from "./client.js";
import { connect } from "./connect.js";
import { engineOn } from "./engine.js";
import { WispError } from "./error.js";
import { describe, type Described } from "./model.js";
import { headerOf, keepHeader } from "./headers.js";
import { checkLoadOptions } from "./options.js";
import { isStored } from "./sources/place.js";
import type { LoadOptions, Memory, Model, WispEngine } from "./types.js";

/** Loads a model onto the GPU. */
export async function load(model: Model, options: LoadOptions = {}): Promise<WispEngine> {
  const hostOptions = checkLoadOptions(options);
  const { signal, onProgress, onEvent, worker } = options;
  signal?.throwIfAborted();
  return withClient(worker, model, options, async (client, { spec }) => {
    if (isStored(spec, hostOptions)) void askToPersist();
    const engine = nextId();
    if (onEvent) client.listen(engine, onEvent);
    const takes = { engine, model: spec, options: hostOptions };
    const undo = () => client.call("unload", { engine });
    await client.call("load", takes, { signal, onProgress, undo });
    return engineOn(client, engine);
  });
}

/** The GPU memory that a model would take. Only the file's header is read, and kept for the page's next plans. */
export async function planMemory(
  model: Exclude<Model, ReadableStream>,
  options: Pick<LoadOptions, "contextLength" | "maxSequences" | "kv" | "caps" | "memoryLimit" | "lookup" | "signal" | "worker"> = {},
): Promise<Memory> {
  const hostOptions = checkLoadOptions(options);
  const { signal, worker } = options;
  return withClient(worker, model, { signal }, async (client, { spec }) => {
    const url = spec.kind === "url" ? spec.url : undefined;
    const header = url === undefined ? undefined : headerOf(url);
    const plan = await client.call("plan", { model: spec, options: hostOptions, header }, { signal });
    client.end(new WispError("internal", "the plan is made"));
    if (url !== undefined && plan.header.parts.length > 0) {
      keepHeader(url, { ...plan.header, parts: [...(header?.parts ?? []), ...plan.header.parts] });
    }
    return plan.memory;
  });
}

/** What fails leaves nothing behind. */
async function withClient<T>(
  worker: boolean | Worker | undefined,
  model: Model,
  { name, signal }: Pick<LoadOptions, "name" | "signal"> | { name?: undefined; signal: AbortSignal | undefined },
  use: (client: Client, described: Described) => Promise<T>,
): Promise<T> {
  const client = await connect(worker);
  let described: Described | undefined;
  try {
    described = describe(model, name, client, signal);
    return await use(client, described);
  } catch (error) {
    client.finish();
    throw error;
  } finally {
    described?.release();
  }
}

/** A hint to the browser; its answer stands in `quota()`. Only pages may ask. */
async function askToPersist(): Promise<void> {
  try {
    if (typeof document !== "undefined") await navigator.storage?.persist?.();
  } catch {
    // Models are stored all the same; the browser may evict them when the disk is full.
  }
}
