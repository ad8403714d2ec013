// One loaded model, in the host: wasm's engine, its bytes, and what wasm's events become.

import { requestAdapter } from "./adapter.js";
import { asWispError, WispError } from "./error.js";
import { Batch } from "./batch.js";
import type { Endpoint, Header, HostOptions, ModelSpec } from "./protocol.js";
import { openModel, type Opened } from "./sources/open.js";
import { Peek } from "./sources/peek.js";
import type { Demand } from "./sources/supplied.js";
import { readSelfCheckResults, writeSelfCheckResults } from "./store/self-check.js";
import { askForSubgroups } from "./subgroups.js";
import type { EngineEvent, Info, Memory, Progress, Stats } from "./types.js";
import type { WasmEngine, WasmListener, WasmLoadOptions, WasmModule } from "./wasm-types.js";

const PHASES = { checking: "check", compiling: "compile", weights: "weights" } as const;

export interface PlanContext {
  wasm: () => Promise<WasmModule>;
  demand: Demand;
  signal: AbortSignal;
}

export interface LoadContext extends PlanContext {
  onProgress(progress: Progress): void;
  onEvent(event: EngineEvent): void;
}

/** The memory a model would take, from its header alone. */
export async function planFor(
  model: ModelSpec,
  options: HostOptions,
  header: Header | undefined,
  context: PlanContext,
): Promise<{ memory: Memory; header: Header }> {
  const [wasm, peek] = await both(context.wasm(), Peek.open(model, options, header, context));
  try {
    const memory = await wasm.planMemory(peek, wasmOptions(options));
    return { memory, header: { name: peek.name, size: peek.size, parts: peek.parts } };
  } catch (error) {
    throw sourceError(peek, error);
  } finally {
    peek.close();
  }
}

/** Download, storage, weights to the GPU: all of a load. */
export async function loadEngine(model: ModelSpec, options: HostOptions, context: LoadContext): Promise<HostEngine> {
  const { signal, onProgress, onEvent } = context;
  await requestAdapter();
  const note = (text: string) => onEvent({ type: "note", text });
  const [wasm, opened] = await both(context.wasm(), openModel(model, options, { ...context, onNote: note }));
  // For as long as the engine lives: it opens the adapter again when the device is lost.
  const restoreAdapter = askForSubgroups();
  let engine: WasmEngine | undefined;
  try {
    const selfCheckResults = await readSelfCheckResults();
    const wanted = { ...wasmOptions(options), selfCheckResults };
    const { size } = opened.source;
    engine = await wasm.Engine.load(
      opened.source,
      wanted,
      (progress) => {
        if (progress.phase === "note") return note(progress.text);
        if (progress.phase === "tuning") return onProgress({ phase: "tune", loaded: 0, total: 0 });
        onProgress({ phase: PHASES[progress.phase], loaded: progress.done, total: progress.total });
      },
      signal,
    );
    if (engine.selfCheckResults() !== selfCheckResults) await writeSelfCheckResults(engine.selfCheckResults());
    await opened.finish();
    signal.throwIfAborted();
    onProgress({ phase: "ready", loaded: size, total: size });
    return new HostEngine(engine, opened, onEvent, restoreAdapter);
  } catch (error) {
    if (engine) free(engine);
    restoreAdapter();
    await opened.close();
    throw sourceError(opened.source, error);
  }
}

export class HostEngine {
  readonly #engine: WasmEngine;
  readonly #opened: Opened;
  readonly #onEvent: (event: EngineEvent) => void;
  readonly #restoreAdapter: () => void;
  #lost = false;
  #freed = false;

  constructor(
    engine: WasmEngine,
    opened: Opened,
    onEvent: (event: EngineEvent) => void,
    restoreAdapter: () => void,
  ) {
    this.#engine = engine;
    this.#opened = opened;
    this.#onEvent = onEvent;
    this.#restoreAdapter = restoreAdapter;
  }

  info(): Info {
    return this.#engine.info();
  }

  stats(): Stats {
    return this.#engine.stats();
  }

  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): number[] {
    return Array.from(this.#engine.tokenize(text, addSpecial, parseSpecial));
  }

  detokenize(tokens: number[]): string {
    return this.#engine.detokenize(Uint32Array.from(tokens));
  }

  selfCheck() {
    return this.#engine.selfCheck();
  }

  destroyDevice(): null {
    this.#engine.destroyDevice();
    return null;
  }

  async unload(): Promise<null> {
    try {
      this.#freed = true;
      free(this.#engine);
    } finally {
      this.#restoreAdapter();
      await this.#opened.close();
    }
    return null;
  }

  /** Reports the answer's texts, the first time none: the request was accepted. */
  generate(endpoint: Endpoint, body: string, signal: AbortSignal, onTexts: (texts: string[]) => void): Promise<null> {
    const batch = new Batch(onTexts);
    return new Promise((resolve, reject) => {
      const onEvent: WasmListener = (event, text, kind) => {
        switch (event) {
          case "json":
            return batch.push(text);
          case "lost":
          case "restored":
            return this.#deviceEvent(event === "lost", text);
          case "done":
            batch.flush();
            return resolve(null);
          case "error":
            batch.flush();
            return reject(sourceError(this.#opened.source, { kind, message: text }));
        }
      };
      const id = this.#engine.submit(endpoint, body, crypto.randomUUID(), onEvent);
      const cancel = () => this.#freed || this.#engine.cancel(id);
      signal.addEventListener("abort", cancel, { once: true });
      onTexts([]);
    });
  }

  /** Every running request hears of it; the application once. */
  #deviceEvent(lost: boolean, message: string): void {
    if (lost === this.#lost) return;
    this.#lost = lost;
    this.#onEvent(lost ? { type: "device-lost", message } : { type: "device-restored" });
  }
}

/** Of a page's wasm, which goes on, the memory is wanted back too. */
function free(engine: WasmEngine): void {
  try {
    engine.unload();
  } finally {
    engine.free();
  }
}

function wasmOptions(options: HostOptions): WasmLoadOptions {
  const { caps, kv, contextLength, maxSequences, memoryLimit, lookup, autotune } = options;
  const given = Object.entries({ caps, kv, contextLength, maxSequences, memoryLimit, lookup, autotune });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

/** Wasm passes on only the text of what a source threw. */
function sourceError({ failure }: { failure: unknown }, error: unknown): WispError {
  const ours = asWispError(error);
  const io = (error as { kind?: string } | undefined)?.kind === "io";
  return io && failure instanceof WispError ? failure : ours;
}

/** Both at the same time. Where one fails, the other is not left behind open. */
async function both<T extends { close(): void | Promise<void> }>(wasm: Promise<WasmModule>, opening: Promise<T>): Promise<[WasmModule, T]> {
  const [first, second] = await Promise.allSettled([wasm, opening]);
  if (second.status === "rejected") throw second.reason;
  if (first.status === "fulfilled") return [first.value, second.value];
  await second.value.close();
  throw first.reason;
}
