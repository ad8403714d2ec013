import type { WispErrorKind } from "./types.js";
import type { WasmErrorKind } from "./wasm-types.js";

/** Everything that goes wrong here, but for an `AbortSignal` of yours: that rejects with its reason. */
export class WispError extends Error {
  override readonly name = "WispError";
  readonly kind: WispErrorKind;

  constructor(kind: WispErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** An error as a plain object: structured cloning keeps no field of a subclass. */
export interface WireError {
  kind: WispErrorKind;
  message: string;
  stack: string | undefined;
}

const WASM_KINDS: Record<WasmErrorKind, WispErrorKind> = {
  input: "input",
  unsupported: "unsupported",
  memory: "memory",
  device: "device",
  io: "network",
  cancelled: "cancelled",
  internal: "internal",
};

/** An error of wasm, of this package, or of neither, as ours. */
export function asWispError(error: unknown): WispError {
  if (error instanceof WispError) return error;
  const { kind, message } = (error ?? {}) as { kind?: WasmErrorKind; message?: string };
  const known = kind === undefined ? undefined : WASM_KINDS[kind];
  return new WispError(known ?? "internal", message ?? String(error), { cause: error });
}

export function toWire(error: unknown): WireError {
  const { kind, message, stack } = asWispError(error);
  return { kind, message, stack };
}

export function fromWire({ kind, message, stack }: WireError): WispError {
  const error = new WispError(kind, message);
  // Where it really happened: in the worker.
  if (stack) error.stack = stack;
  return error;
}

/** What went wrong, for the end of a sentence. */
export function reason(error: unknown): string {
  return error instanceof Error && error.message ? error.message : String(error);
}
