// The engine's end of the protocol: takes calls from a port and answers them.

import { toWire, WispError } from "./error.js";
import { HostEngine, loadEngine, planFor } from "./host-engine.js";
import { hear, post, VERSION, type Call, type FromHost, type Port, type ToHost } from "./protocol.js";
import type { Demand } from "./sources/supplied.js";
import type { WasmModule } from "./wasm-types.js";

/** Serves the engine on `port`. `wasm` is called at the first use. */
export function serve(port: Port, wasm: () => Promise<WasmModule>): void {
  const host = new Host(port, wasm);
  hear<ToHost & { wisp: number }>(port, (message) => host.hear(message));
}

interface Waiting {
  resolve(bytes: Uint8Array | null): void;
  reject(error: unknown): void;
}

class Host {
  readonly #port: Port;
  readonly #wasm: () => Promise<WasmModule>;
  readonly #running = new Map<number, AbortController>();
  readonly #demands = new Map<number, Waiting>();
  readonly #engines = new Map<number, HostEngine>();
  #demanded = 0;

  constructor(port: Port, wasm: () => Promise<WasmModule>) {
    this.#port = port;
    this.#wasm = wasm;
  }

  hear(message: ToHost & { wisp: number }): void {
    switch (message.type) {
      case "call":
        return void this.#answer(message.id, message.call, message.wisp);
      case "abort":
        return this.#running.get(message.id)?.abort();
      case "supply":
        this.#demands.get(message.id)?.resolve(message.bytes);
        return void this.#demands.delete(message.id);
      case "refuse":
        this.#demands.get(message.id)?.reject(new WispError(message.error.kind, message.error.message));
        return void this.#demands.delete(message.id);
    }
  }

  async #answer(id: number, call: Call, version: number): Promise<void> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      if (version !== VERSION) {
        throw new WispError(
          "input",
          `the page speaks version ${version} of wisp-llm's protocol and its worker version ${VERSION}: use one version of the package for both`,
        );
      }
      const value = await this.#run(id, call, controller.signal);
      this.#post({ type: "answer", id, value });
    } catch (error) {
      this.#post({ type: "failure", id, error: toWire(await this.#outOfMemory(error)) });
    } finally {
      this.#running.delete(id);
    }
  }

  /** What is passed to wasm is copied into its memory: where there is none, it traps before it knows. */
  async #outOfMemory(error: unknown): Promise<unknown> {
    const thrown = error instanceof WispError ? error.cause : error;
    const trapped = thrown instanceof WebAssembly.RuntimeError && (await this.#wasm()).allocationFailed();
    return trapped ? new WispError("memory", "this needs more memory than WebAssembly has: pass less at once", { cause: error }) : error;
  }

  #run(id: number, call: Call, signal: AbortSignal): unknown {
    switch (call.name) {
      case "hello":
        return VERSION;
      case "plan":
        return planFor(call.model, call.options, call.header, { wasm: this.#wasm, demand: this.#demand, signal });
      case "load":
        return this.#load(id, call, signal);
      case "generate":
        return this.#engine(call.engine).generate(call.endpoint, call.body, signal, (texts) =>
          this.#post({ type: "texts", id, texts }),
        );
      case "tokenize":
        return this.#engine(call.engine).tokenize(call.text, call.addSpecial, call.parseSpecial);
      case "detokenize":
        return this.#engine(call.engine).detokenize(call.tokens);
      case "info":
        return this.#engine(call.engine).info();
      case "stats":
        return this.#engine(call.engine).stats();
      case "selfCheck":
        return this.#engine(call.engine).selfCheck();
      case "destroyDevice":
        return this.#engine(call.engine).destroyDevice();
      case "unload": {
        const engine = this.#engine(call.engine);
        this.#engines.delete(call.engine);
        return engine.unload();
      }
    }
  }

  async #load(id: number, { engine: number, model, options }: Call & { name: "load" }, signal: AbortSignal) {
    const engine = await loadEngine(model, options, {
      wasm: this.#wasm,
      demand: this.#demand,
      signal,
      onProgress: (progress) => this.#post({ type: "progress", id, progress }),
      onEvent: (event) => this.#post({ type: "event", engine: number, event }),
    });
    this.#engines.set(number, engine);
    return engine.info();
  }

  #engine(number: number): HostEngine {
    const engine = this.#engines.get(number);
    if (!engine) throw new WispError("input", "this engine was unloaded: load the model again");
    return engine;
  }

  /** Bytes that only the page can give. */
  readonly #demand: Demand = (supplier, offset, length) =>
    new Promise((resolve, reject) => {
      this.#demanded += 1;
      const id = this.#demanded;
      this.#demands.set(id, { resolve, reject });
      this.#post({ type: "demand", id, supplier, offset, length });
    });

  #post(message: FromHost): void {
    post(this.#port, message);
  }
}
