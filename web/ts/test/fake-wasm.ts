// The seam of `wasm-types.ts` without a GPU: an engine that answers with the words of its prompt.

import type { WasmEngine, WasmEvent, WasmModule, WasmRequest, WasmSource } from "../src/wasm-types.js";

export class FakeError extends Error {
  constructor(
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

export class FakeEngine implements WasmEngine {
  readonly running = new Map<number, (event: WasmEvent) => void>();
  readonly requests: WasmRequest[] = [];
  unloaded = false;
  freed = false;
  /** The verdicts it was given. */
  known = "";
  /** Milliseconds between words; 0 for all at once. */
  pace = 0;
  lose = false;
  rendered: { messages: unknown[]; tools: unknown[] | undefined } | undefined;
  readonly #words: string[] = [];

  info() {
    return {
      adapter: { name: "fake", vendor: "", architecture: "", kind: "cpu", backend: "none" },
      variant: "workgroup f32",
      features: { subgroups: false, f16: false, timestamps: false },
      memory: { weights: 1, kv: 1, scratch: 1, total: 3, contextLength: 100 },
      vocab: 100,
      model: { name: "Parrot", architecture: "llama", hasChatTemplate: true, chatStop: [] },
    };
  }

  verdicts() {
    return this.known || "fake adapter\t\n";
  }

  stats() {
    return { pages: { free: 1, total: 1 }, heapBytes: 1 << 20, steps: 0, requests: this.running.size };
  }

  tokenize(text: string): Uint32Array {
    const words = text.split(/(?<= )/);
    return Uint32Array.from(words, (word) => {
      if (!this.#words.includes(word)) this.#words.push(word);
      return this.#words.indexOf(word);
    });
  }

  detokenize(tokens: Uint32Array): string {
    return Array.from(tokens, (token) => this.#words[token]).join("");
  }

  tokenText(token: number): Uint8Array {
    return new TextEncoder().encode(this.#words[token]);
  }

  renderChat(messages: unknown[], tools: unknown[] | undefined): string {
    this.rendered = { messages, tools };
    return (messages as { content: string }[]).map(({ content }) => content).join(" ");
  }

  submit(request: WasmRequest, onEvent: (event: WasmEvent) => void): number {
    if (request.prompt.length > 50) throw new FakeError("input", "the prompt is too long");
    this.requests.push(request);
    const id = this.requests.length;
    this.running.set(id, onEvent);
    void this.#answer(id, request, onEvent);
    return id;
  }

  cancel(id: number): void {
    this.#end(id, "cancelled", []);
  }

  async selfCheck() {
    return [{ name: "one", ok: true, error: "" }];
  }

  destroyDevice(): void {
    this.lose = true;
  }

  unload(): void {
    this.unloaded = true;
    for (const onEvent of this.running.values()) onEvent({ type: "error", kind: "cancelled", message: "unloaded" });
    this.running.clear();
  }

  /** As wasm-bindgen does it: a second time, and any call after it, throws. */
  free(): void {
    for (const name of ["free", "unload", "cancel", "submit", "stats", "info", "tokenize", "detokenize"] as const) {
      this[name] = () => {
        throw new Error("null pointer passed to rust");
      };
    }
    this.freed = true;
  }

  async #answer(id: number, { prompt, maxTokens, logprobs }: WasmRequest, onEvent: (event: WasmEvent) => void) {
    const tokens: number[] = [];
    for (const token of prompt) {
      await new Promise((resolve) => setTimeout(resolve, this.pace));
      if (!this.running.has(id)) return;
      if (tokens.length === maxTokens) return this.#end(id, "length", tokens);
      if (this.lose) {
        onEvent({ type: "lost", message: "the driver was reset" });
        onEvent({ type: "restored" });
      }
      tokens.push(token);
      const top = Array.from({ length: logprobs ?? 0 }, (_, other) => ({ token: other, logprob: -1 }));
      const chances = logprobs === undefined ? {} : { logprobs: { logprob: -0.5, top } };
      onEvent({ type: "piece", token, text: this.#words[token]!, ...chances });
    }
    this.#end(id, "stop", tokens);
  }

  #end(id: number, finishReason: "stop" | "length" | "cancelled", tokens: number[]): void {
    const onEvent = this.running.get(id);
    this.running.delete(id);
    onEvent?.({
      type: "done",
      finishReason,
      tokens,
      text: this.detokenize(Uint32Array.from(tokens)),
      promptTokens: this.requests[id - 1]!.prompt.length,
      timings: { prefillMs: 10, prefillTokens: 1, decodeMs: 20, decodeTokens: 2, guessedTokens: 0 },
    });
  }
}

export class FakeWasm {
  readonly engines: FakeEngine[] = [];
  /** What `Engine.load` does with the source. */
  read = async (source: WasmSource): Promise<unknown> => source.read(0, source.size);

  readonly module = async (): Promise<WasmModule> => ({
    default: async () => {},
    allocationFailed: () => false,
    heapBytes: () => 1 << 20,
    planMemory: async (source) => {
      await source.read(0, 4);
      return new FakeEngine().info().memory;
    },
    Engine: {
      load: async (source, { verdicts }, onProgress) => {
        if (!verdicts) onProgress({ phase: "checking" });
        try {
          await this.read(source);
        } catch (error) {
          throw error instanceof FakeError ? error : new FakeError("io", String(error));
        }
        onProgress({ phase: "weights", done: source.size, total: source.size });
        const engine = new FakeEngine();
        engine.known = verdicts ?? "";
        this.engines.push(engine);
        return engine;
      },
    },
  });
}
