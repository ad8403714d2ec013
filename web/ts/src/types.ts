// The public types of `wisp-llm`. Those of requests and answers are in `openai-types.ts`.

import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
} from "./openai-types.js";

/**
 * Where a model comes from. A string is a URL, taken relative to the page. Of a split model
 * (`…-00001-of-00003.gguf`) the URL of any file, or all of them as `Blob`s.
 */
export type Model = string | URL | Blob | readonly Blob[] | ReadableStream<Uint8Array> | Source | StoredModel;

/** Bytes by range, from wherever you like. */
export interface Source {
  /** For messages, and under this name the model is stored. */
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes, or a rejection. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface LoadOptions {
  onProgress?: (progress: Progress) => void;
  /** Device loss and notes, for as long as the engine lives. */
  onEvent?: (event: EngineEvent) => void;
  /** Stops the download and the load. */
  signal?: AbortSignal;
  /** Tokens; by default what the model was trained for, made smaller where that does not fit. */
  contextLength?: number;
  /** Requests that are computed at the same time; others wait. By default 4. */
  maxSequences?: number;
  /** How keys and values are kept. By default f16 where the GPU has it, else f32. */
  kv?: KvType;
  /** Features of the adapter to do without: `"subgroups=off,f16=off"`. */
  caps?: string;
  /** Bytes of GPU memory to take at most. */
  memoryLimit?: number;
  /**
   * Guess tokens from what followed the same words earlier in the text, and check several at once:
   * the same tokens, faster where a text repeats itself (code, lists, quotes). By default `false`.
   */
  lookup?: boolean;
  /**
   * Measure at the first load on an adapter how its kernels are fastest, within two seconds, and
   * remember it. By default where the adapter is no software; `true`: there too; `false`: never.
   */
  autotune?: boolean;
  /**
   * `true`: a worker of our own (the default in a page). `false`: here (the default in a worker).
   * Or a module worker of yours that imports `wisp-llm/worker`.
   */
  worker?: boolean | Worker;
  /**
   * Keep the model in the browser's private storage, and take it from there when it is complete.
   * By default `true` for URLs and named streams, `false` for a `Blob` or `Source`.
   */
  cache?: boolean;
  /** The whole file's SHA-256 in hex; another one is an error. */
  sha256?: string;
  /** The name under which it is listed; for a stream also the one under which it is found again. */
  name?: string;
}

export type KvType = "f32" | "f16" | "q8_0" | "q4_0";

/**
 * What a load is doing. `loaded` and `total` are bytes, in `check` and `compile` kernels; `total`
 * is 0 where it isn't known.
 */
export interface Progress {
  /**
   * `download`: bytes from the network or a file into storage; `verify`: the whole file's hash;
   * `tune`: kernel parameters are measured on this adapter; `check`: its kernels are compared with
   * their definitions; `compile`: the model's kernels; `weights`: bytes on the GPU; `ready`: done.
   * `tune` and `check` come once for each adapter, browser and version.
   * `download` and `weights` run side by side, so that reports of the two alternate.
   */
  phase: "download" | "verify" | "tune" | "check" | "compile" | "weights" | "ready";
  loaded: number;
  total: number;
  bytesPerSecond?: number;
  /** Something to tell the user, such as why it waits. */
  text?: string;
}

export type EngineEvent =
  /** The GPU was reset; the engine is setting it up again, and answers go on after that. */
  | { type: "device-lost"; message: string }
  | { type: "device-restored" }
  | { type: "note"; text: string };

export interface CallOptions {
  signal?: AbortSignal;
}

/** Many things to come, for one `for await`. Leaving it early cancels the request. */
export interface Stream<T> extends AsyncIterable<T> {
  /** Aborting it ends the request. */
  readonly controller: AbortController;
}

export interface WispEngine {
  readonly chat: {
    readonly completions: {
      create(body: ChatCompletionRequest & { stream: true }, options?: CallOptions): Promise<Stream<ChatCompletionChunk>>;
      create(body: ChatCompletionRequest & { stream?: false | null }, options?: CallOptions): Promise<ChatCompletion>;
      create(
        body: ChatCompletionRequest,
        options?: CallOptions,
      ): Promise<ChatCompletion | Stream<ChatCompletionChunk>>;
    };
  };
  readonly completions: {
    create(body: CompletionRequest & { stream: true }, options?: CallOptions): Promise<Stream<CompletionChunk>>;
    create(body: CompletionRequest & { stream?: false | null }, options?: CallOptions): Promise<Completion>;
    create(body: CompletionRequest, options?: CallOptions): Promise<Completion | Stream<CompletionChunk>>;
  };
  /** Text to token ids. By default the model's own beginning is added, and `<|…|>` texts are special tokens. */
  tokenize(text: string, options?: { addSpecial?: boolean; parseSpecial?: boolean }): Promise<number[]>;
  detokenize(tokens: ArrayLike<number>): Promise<string>;
  info(): Promise<Info>;
  stats(): Promise<Stats>;
  /** Gives all GPU memory back. Pending requests end with an error. */
  unload(): Promise<void>;
}

/** Bytes of GPU memory, and the context they are for. */
export interface Memory {
  weights: number;
  kv: number;
  scratch: number;
  total: number;
  contextLength: number;
}

export interface Info {
  adapter: { name: string; vendor: string; architecture: string; kind: string; backend: string };
  /** The kernels in use: "subgroup f16", "workgroup f32", … */
  variant: string;
  features: { subgroups: boolean; f16: boolean; timestamps: boolean };
  memory: Memory;
  vocab: number;
  model: { name: string; architecture: string; hasChatTemplate: boolean };
}

export interface Stats {
  /** Pages of the KV cache. */
  pages: { free: number; total: number };
  /** Of WebAssembly's memory. */
  heapBytes: number;
  /** Steps computed since the load. */
  steps: number;
  /** Requests that are being answered or wait. */
  requests: number;
}

/** A model in the browser's private storage. `load(stored)` takes it from there. */
export interface StoredModel {
  id: string;
  name: string;
  /** The URL it came from; empty for a file. */
  url: string;
  /** Bytes of the whole model. */
  size: number;
  /** Bytes that are here; less than `size` where a download was interrupted. */
  stored: number;
  complete: boolean;
  /** Milliseconds since 1970. */
  lastUsed: number;
}

/** Bytes of this site's storage; none where there is no browser. */
export interface Quota {
  usage: number;
  available: number;
  /** Whether the browser promised not to evict it. */
  persistent: boolean;
}

export type Support =
  | { ok: true; adapter: { vendor: string; architecture: string; description: string; software: boolean }; features: string[] }
  | { ok: false; kind: UnsupportedKind; message: string; advice: string };

/** Why a browser cannot run the engine. */
export type UnsupportedKind = "no-webgpu" | "no-adapter" | "insecure-context" | "blocked";

export type WispErrorKind =
  | UnsupportedKind
  /** What you passed is wrong; the message names the field. */
  | "input"
  /** Right, but this version can't do it. */
  | "unsupported"
  /** It does not fit on the GPU, or WebAssembly has no memory left. */
  | "memory"
  /** The GPU failed and could not be set up again. */
  | "device"
  | "network"
  /** The browser's storage is full, or what it held is damaged. */
  | "storage"
  /** The engine was unloaded while it answered. */
  | "cancelled"
  | "internal";

export type * from "./openai-types.js";
