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
  /** Draft tokens come from repetitions in the text so far. */
  lookup?: boolean;
  /** What `selfCheckResults()` of an earlier engine gave: what was checked needs no check. */
  selfCheckResults?: string;
  /** Measure kernel parameters: `true` on any adapter; by default on one that is no software. */
  autotune?: boolean;
}

export type WasmProgress =
  | { phase: "tuning" }
  | { phase: "checking" | "compiling"; done: number; total: number }
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
  model: { name: string; architecture: string; hasChatTemplate: boolean };
}

export interface WasmStats {
  pages: { free: number; total: number };
  heapBytes: number;
  steps: number;
  requests: number;
}

/**
 * `json`: a chunk of an answer, or all of it. `lost`: the device went away, `text` says why; a new
 * one is being set up. `done` and `error` come last.
 */
export type WasmListener = (event: "json" | "lost" | "restored" | "done" | "error", text: string, kind: WasmErrorKind) => void;

/** Every error that wasm throws is an `Error` with such a `kind`. */
export type WasmErrorKind = "input" | "unsupported" | "memory" | "device" | "io" | "cancelled" | "internal";

export interface WasmEngine {
  info(): WasmInfo;
  /** The kernel check's, those that were given included. */
  selfCheckResults(): string;
  stats(): WasmStats;
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Uint32Array;
  detokenize(tokens: Uint32Array): string;
  /** `endpoint`: OpenAI's path. `unique` becomes part of the answer's id. Gives a number to cancel it by. */
  submit(endpoint: string, body: string, unique: string, onEvent: WasmListener): number;
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
