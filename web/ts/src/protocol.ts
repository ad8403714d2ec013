// What a page and the engine's host (a worker, or the same thread) say to each other. One
// union each way. A call is answered once, by `answer` or `failure` under its id; reports
// about it may come before.

import type { WireError } from "./error.js";
import type { EngineEvent, Info, KvType, Memory, Progress, Stats } from "./types.js";

/** Both sides come from one version of the package, unless a page mixes two: then this differs. */
export const VERSION = 3;

/** A model as it can be sent. */
export type ModelSpec =
  | { kind: "url"; url: string }
  | { kind: "blob"; blob: Blob; name: string }
  | { kind: "stored"; id: string }
  /** Its bytes are asked for with `demand` messages: functions and streams stay in the page. */
  | { kind: "source"; supplier: number; name: string; size: number }
  | { kind: "stream"; supplier: number; name: string };

/** What was read of a model to plan for it: enough to plan for it again. */
export interface Header {
  name: string;
  size: number;
  parts: { offset: number; bytes: Uint8Array }[];
}

export interface HostOptions {
  contextLength?: number | undefined;
  maxSequences?: number | undefined;
  kv?: KvType | undefined;
  caps?: string | undefined;
  memoryLimit?: number | undefined;
  lookup?: boolean | undefined;
  autotune?: boolean | undefined;
  cache?: boolean | undefined;
  sha256?: string | undefined;
  name?: string | undefined;
}

/** Whose requests in OpenAI's shape it answers, by the path. */
export type Endpoint = "chat/completions" | "completions";

/** Each call, and what answers it. */
export interface Calls {
  hello: { takes: object; gives: number };
  load: { takes: { engine: number; model: ModelSpec; options: HostOptions }; gives: Info };
  /** `header` is what earlier plans have read of it; the answer has what was read besides. */
  plan: {
    takes: { model: ModelSpec; options: HostOptions; header: Header | undefined };
    gives: { memory: Memory; header: Header };
  };
  /** Bodies and answers are JSON. An answer's texts (chunks, or one) come before; a first report, empty, says that the request was accepted. */
  generate: { takes: { engine: number; endpoint: Endpoint; body: string }; gives: null };
  tokenize: { takes: { engine: number; text: string; addSpecial: boolean; parseSpecial: boolean }; gives: number[] };
  detokenize: { takes: { engine: number; tokens: number[] }; gives: string };
  info: { takes: { engine: number }; gives: Info };
  stats: { takes: { engine: number }; gives: Stats };
  selfCheck: { takes: { engine: number }; gives: { name: string; ok: boolean; error: string }[] };
  destroyDevice: { takes: { engine: number }; gives: null };
  unload: { takes: { engine: number }; gives: null };
}

export type CallName = keyof Calls;
export type Call = { [Name in CallName]: { name: Name } & Calls[Name]["takes"] }[CallName];

export type ToHost =
  | { type: "call"; id: number; call: Call }
  | { type: "abort"; id: number }
  /** Bytes for a `demand`; `null` at the end of a stream. */
  | { type: "supply"; id: number; bytes: Uint8Array | null }
  | { type: "refuse"; id: number; error: WireError };

export type FromHost =
  | { type: "answer"; id: number; value: unknown }
  | { type: "failure"; id: number; error: WireError }
  | { type: "progress"; id: number; progress: Progress }
  | { type: "texts"; id: number; texts: string[] }
  | { type: "event"; engine: number; event: EngineEvent }
  /** Bytes at `offset`, or the next ones of a stream. */
  | { type: "demand"; id: number; supplier: number; offset: number; length: number };

/** A `Worker`, a `MessagePort`, or a worker's own global scope. */
export interface Port {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  removeEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

/** Sends a message, marked as ours: a worker may have others of its own. */
export function post(port: Port, message: ToHost | FromHost, transfer: Transferable[] = []): void {
  port.postMessage({ wisp: VERSION, ...message }, transfer);
}

/** Hears the other side's messages until the returned function is called. */
export function hear<Message extends ToHost | FromHost>(port: Port, listener: (message: Message) => void): () => void {
  const heard = (event: MessageEvent) => {
    const data = event.data as { wisp?: unknown } | null;
    if (typeof data === "object" && data !== null && "wisp" in data) listener(data as unknown as Message);
  };
  port.addEventListener("message", heard);
  return () => port.removeEventListener("message", heard);
}
