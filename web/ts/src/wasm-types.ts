// What the wasm module (crate `wisp-web`) and this package say to each other.
// Structured values cross as plain objects.

/** Bytes by range. Written in TypeScript, called by wasm. */
export interface WasmSource {
  /** For messages: a URL or a file name. */
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes, or a rejection. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface WasmLoadOptions {
  /** `subgroups=off,f16=off`: as on the command line. */
  caps?: string;
  kv?: "f32" | "f16" | "q8_0" | "q4_0";
  contextLength?: number;
  /** Requests that share steps. */
  maxSequences?: number;
  /** Bytes. */
  memoryLimit?: number;
  /** Tokens are guessed from the text so far. */
  lookup?: boolean;
  /** What `verdicts()` of an earlier engine gave: what was checked needs no check. */
  verdicts?: string;
}

export type WasmProgress =
  | { phase: "checking" }
  | { phase: "weights"; done: number; total: number }
  | { phase: "note"; text: string };

export interface WasmMemory {
  weights: number;
  kv: number;
  scratch: number;
  total: number;
  contextLength: number;
}

export interface WasmInfo {
  adapter: { name: string; vendor: string; architecture: string; kind: string; backend: string };
  /** "subgroup f16", "workgroup f32", … */
  variant: string;
  features: { subgroups: boolean; f16: boolean; timestamps: boolean };
  memory: WasmMemory;
  vocab: number;
  /** `chatStop`: the texts that end an answer in a conversation. */
  model: { name: string; architecture: string; hasChatTemplate: boolean; chatStop: string[] };
}

export interface WasmStats {
  pages: { free: number; total: number };
  heapBytes: number;
  steps: number;
  requests: number;
}

export interface WasmRequest {
  prompt: number[] | Uint32Array;
  /** Absent: to the context's end. */
  maxTokens?: number;
  stop?: string[];
  ignoreEos?: boolean;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  logitBias?: [number, number][];
  seed?: number;
  /** Absent: none; N: of the chosen token and the N best. */
  logprobs?: number;
}

export interface WasmLogprobs {
  logprob: number;
  top: { token: number; logprob: number }[];
}

export type WasmEvent =
  | { type: "piece"; token: number; text: string; logprobs?: WasmLogprobs }
  /** The device went away; a new one is being set up. */
  | { type: "lost"; message: string }
  | { type: "restored" }
  | {
      type: "done";
      finishReason: "stop" | "length" | "cancelled";
      tokens: number[];
      text: string;
      promptTokens: number;
      timings: { prefillMs: number; prefillTokens: number; decodeMs: number; decodeTokens: number; guessedTokens: number };
    }
  | { type: "error"; kind: WasmErrorKind; message: string };

/** Every error that wasm throws is an `Error` with such a `kind`. */
export type WasmErrorKind = "input" | "unsupported" | "memory" | "device" | "io" | "cancelled" | "internal";

export interface WasmEngine {
  info(): WasmInfo;
  /** The kernel check's, those that were given included. */
  verdicts(): string;
  stats(): WasmStats;
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Uint32Array;
  detokenize(tokens: Uint32Array): string;
  /** Bytes of one token. */
  tokenText(token: number): Uint8Array;
  renderChat(messages: unknown[], tools: unknown[] | undefined, addGenerationPrompt: boolean): string;
  /** Gives an id. The last event is `done` or `error`. */
  submit(request: WasmRequest, onEvent: (event: WasmEvent) => void): number;
  cancel(id: number): void;
  /** Every kernel case on this adapter. */
  selfCheck(): Promise<{ name: string; ok: boolean; error: string }[]>;
  /** For tests: as if the driver had reset. */
  destroyDevice(): void;
  /** All GPU memory back; pending requests end with an error. */
  unload(): void;
  /** All of wasm's memory back: nothing may be called any more. */
  free(): void;
}

/** The module that wasm-bindgen writes (`--target web`). */
export interface WasmModule {
  default(options?: { module_or_path: URL | Request | Response | WebAssembly.Module }): Promise<unknown>;
  Engine: {
    load(
      source: WasmSource,
      options: WasmLoadOptions,
      onProgress: (progress: WasmProgress) => void,
      signal?: AbortSignal,
    ): Promise<WasmEngine>;
  };
  /** From the header only; no device. */
  planMemory(source: WasmSource, options: WasmLoadOptions): Promise<WasmMemory>;
  /** Whether an allocation failed since this was last asked. */
  allocationFailed(): boolean;
  /** Size of wasm's linear memory. */
  heapBytes(): number;
}
