// The page's end of the protocol: calls, their answers, and the bytes that the host asks for.

import { fromWire, reason, toWire, WispError } from "./error.js";
import { hear, post, type Call, type CallName, type Calls, type FromHost, type Port } from "./protocol.js";
import type { EngineEvent, Progress } from "./types.js";

export interface Reports {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
  onTexts?: ((texts: string[]) => void) | undefined;
  /** Takes back what the host did for a call that was aborted too late to stop it. */
  undo?: (() => Promise<unknown>) | undefined;
}

/** Gives bytes that can't be sent at once: exactly those asked for, or a stream's next ones. */
export type Supplier = (offset: number, length: number) => Promise<Uint8Array | null>;

interface Pending extends Reports {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class Client {
  readonly #port: Port;
  readonly #close: () => void;
  readonly #deaf: () => void;
  readonly #pending = new Map<number, Pending>();
  readonly #suppliers = new Map<number, Supplier>();
  readonly #listeners = new Map<number, (event: EngineEvent) => void>();
  /** Calls that were aborted, but on which the host may still be at work; and what takes them back. */
  readonly #aborted = new Map<number, Reports["undo"]>();
  #finishing = false;
  #ended: WispError | undefined;

  /** `close` ends the other side. */
  constructor(port: Port, close: () => void) {
    this.#port = port;
    this.#close = close;
    this.#deaf = hear<FromHost>(port, (message) => this.#hear(message));
  }

  /** Rejects with the signal's reason as soon as it is aborted, whatever the host is doing. */
  call<Name extends CallName>(
    name: Name,
    takes: Calls[Name]["takes"],
    reports: Reports = {},
  ): Promise<Calls[Name]["gives"]> {
    const { signal, undo } = reports;
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      if (signal?.aborted) return reject(signal.reason);
      const id = nextId();
      const abort = () => {
        this.#pending.delete(id);
        this.#aborted.set(id, undo);
        post(this.#port, { type: "abort", id });
        reject(signal?.reason);
      };
      const settled = () => signal?.removeEventListener("abort", abort);
      signal?.addEventListener("abort", abort, { once: true });
      this.#pending.set(id, {
        ...reports,
        resolve: (value) => (settled(), resolve(value as Calls[Name]["gives"])),
        reject: (error) => (settled(), reject(error)),
      });
      try {
        post(this.#port, { type: "call", id, call: { name, ...takes } as unknown as Call });
      } catch (error) {
        settled();
        this.#pending.delete(id);
        reject(new WispError("input", `what was passed can't be sent to the engine (${reason(error)}): pass plain data`, { cause: error }));
      }
    });
  }

  /** Offers bytes under the returned number. */
  supply(supplier: Supplier): number {
    const number = nextId();
    this.#suppliers.set(number, supplier);
    return number;
  }

  listen(engine: number, listener: (event: EngineEvent) => void): void {
    this.#listeners.set(engine, listener);
  }

  /** Ends the other side when it has tidied up what was aborted. */
  finish(): void {
    this.#finishing = true;
    if (this.#aborted.size === 0) this.end(new WispError("cancelled", "the load was given up"));
  }

  /** Ends the other side; later calls fail with `error`, and what is pending with `pending`. */
  end(error: WispError, pending = error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#deaf();
    for (const { reject } of this.#pending.values()) reject(pending);
    this.#pending.clear();
    this.#close();
  }

  #hear(message: FromHost): void {
    switch (message.type) {
      case "event":
        return this.#listeners.get(message.engine)?.(message.event);
      case "demand":
        return void this.#meet(message);
    }
    const pending = this.#pending.get(message.id);
    if (!pending) {
      if (message.type === "answer" || message.type === "failure") void this.#late(message);
      return;
    }
    switch (message.type) {
      case "progress":
        return pending.onProgress?.(message.progress);
      case "texts":
        return pending.onTexts?.(message.texts);
      case "answer":
        this.#pending.delete(message.id);
        return pending.resolve(message.value);
      case "failure":
        this.#pending.delete(message.id);
        return pending.reject(fromWire(message.error));
    }
  }

  /** The end of a call that was aborted. */
  async #late({ id, type }: FromHost & { type: "answer" | "failure" }): Promise<void> {
    if (!this.#aborted.has(id)) return;
    if (type === "answer") await this.#aborted.get(id)?.().catch(() => {});
    this.#aborted.delete(id);
    if (this.#finishing) this.finish();
  }

  async #meet({ id, supplier, offset, length }: FromHost & { type: "demand" }): Promise<void> {
    const supply = this.#suppliers.get(supplier);
    // Another client of the same worker has it.
    if (!supply) return;
    try {
      const bytes = await supply(offset, length);
      if (bytes === null) return post(this.#port, { type: "supply", id, bytes });
      if (!(bytes instanceof Uint8Array)) throw new WispError("input", "the model gave something else than a Uint8Array");
      // A copy: the buffer is the caller's, and as a whole may be much larger.
      const copy = new Uint8Array(bytes);
      post(this.#port, { type: "supply", id, bytes: copy }, [copy.buffer]);
    } catch (error) {
      post(this.#port, { type: "refuse", id, error: toWire(error) });
    }
  }
}

let last = 0;

/** Never the same number twice in a page, so that several clients can share a worker. */
export function nextId(): number {
  last += 1;
  return last;
}
