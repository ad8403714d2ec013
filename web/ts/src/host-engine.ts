// One loaded model, in the host: wasm's engine, its bytes, and what wasm's events become.

import { requestAdapter } from "./adapter.js";
import { asWispError, WispError } from "./error.js";
import { Batch } from "./batch.js";
import type { Done, Header, HostOptions, ModelSpec, Piece, Prompt, Settings, TokenText } from "./protocol.js";
import { openModel, type Opened } from "./sources/open.js";
import { Peek } from "./sources/peek.js";
import type { Demand } from "./sources/supplied.js";
import { readVerdicts, writeVerdicts } from "./store/verdicts.js";
import { askForSubgroups } from "./subgroups.js";
import type { EngineEvent, Info, Memory, Progress, Stats } from "./types.js";
import type { WasmEngine, WasmEvent, WasmLoadOptions, WasmLogprobs, WasmModule } from "./wasm-types.js";

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
    const verdicts = await readVerdicts();
    const wanted = { ...wasmOptions(options), verdicts };
    const { size } = opened.source;
    engine = await wasm.Engine.load(
      opened.source,
      wanted,
      (progress) => {
        if (progress.phase === "note") return note(progress.text);
        if (progress.phase === "checking") return onProgress({ phase: "check", loaded: 0, total: size });
        onProgress({ phase: "weights", loaded: progress.done, total: progress.total });
      },
      signal,
    );
    if (engine.verdicts() !== verdicts) await writeVerdicts(engine.verdicts());
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
  readonly #texts = new Map<number, Omit<TokenText, "logprob">>();
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

  /** Reports pieces, the first time with none: the prompt was accepted. */
  generate(
    prompt: Prompt,
    settings: Settings,
    signal: AbortSignal,
    onPieces: (pieces: Piece[]) => void,
  ): Promise<Done> {
    const tokens = this.#promptTokens(prompt);
    const batch = new Batch(onPieces);
    return new Promise((resolve, reject) => {
      const onEvent = (event: WasmEvent) => {
        switch (event.type) {
          case "piece":
            return batch.push({ text: event.text, ...(event.logprobs && { logprobs: this.#logprobs(event.token, event.logprobs) }) });
          case "lost":
          case "restored":
            return this.#deviceEvent(event);
          case "done": {
            batch.flush();
            const { finishReason } = event;
            if (finishReason === "cancelled") return reject(new WispError("cancelled", "the request was cancelled"));
            const { text, tokens, promptTokens, timings } = event;
            return resolve({ finishReason, text, tokens: Array.from(tokens), promptTokens, timings });
          }
          case "error":
            batch.flush();
            return reject(sourceError(this.#opened.source, event));
        }
      };
      const ends = "messages" in prompt ? this.#engine.info().model.chatStop : [];
      const stop = [...(settings.stop ?? []), ...ends];
      const id = this.#engine.submit({ ...settings, stop, prompt: tokens }, onEvent);
      const cancel = () => this.#freed || this.#engine.cancel(id);
      signal.addEventListener("abort", cancel, { once: true });
      onPieces([]);
    });
  }

  #promptTokens(prompt: Prompt): Uint32Array {
    const engine = this.#engine;
    if ("tokens" in prompt) return Uint32Array.from(prompt.tokens);
    if ("text" in prompt) return engine.tokenize(prompt.text, true, true);
    // A template writes special tokens itself, so that none are added.
    return engine.tokenize(engine.renderChat(prompt.messages, prompt.tools, true), false, true);
  }

  #logprobs(token: number, { logprob, top }: WasmLogprobs): NonNullable<Piece["logprobs"]> {
    const described = (id: number, logprob: number) => ({ ...this.#text(id), logprob });
    return { ...described(token, logprob), top: top.map((other) => described(other.token, other.logprob)) };
  }

  #text(token: number): Omit<TokenText, "logprob"> {
    let text = this.#texts.get(token);
    if (!text) {
      const bytes = this.#engine.tokenText(token);
      text = { text: new TextDecoder().decode(bytes), bytes: Array.from(bytes) };
      this.#texts.set(token, text);
    }
    return text;
  }

  /** Every running request hears of it; the application once. */
  #deviceEvent(event: WasmEvent & { type: "lost" | "restored" }): void {
    const lost = event.type === "lost";
    if (lost === this.#lost) return;
    this.#lost = lost;
    this.#onEvent(event.type === "lost" ? { type: "device-lost", message: event.message } : { type: "device-restored" });
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
  const { caps, kv, contextLength, maxSequences, memoryLimit, lookup } = options;
  const given = Object.entries({ caps, kv, contextLength, maxSequences, memoryLimit, lookup });
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
