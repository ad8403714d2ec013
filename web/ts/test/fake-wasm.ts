// The seam of `wasm-types.ts` without a GPU: an engine that answers with the words of its prompt,
// in as much of OpenAI's shape as the tests look at. What it asks of a request is tested in Rust.

import type { WasmEngine, WasmListener, WasmModule, WasmSource } from "../src/wasm-types.js";

export class FakeError extends Error {
  constructor(
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

export class FakeEngine implements WasmEngine {
  readonly running = new Map<number, WasmListener>();
  /** What it was asked, as it came. */
  readonly requests: { endpoint: string; body: string; unique: string }[] = [];
  unloaded = false;
  freed = false;
  /** The results it was given. */
  known = "";
  /** Milliseconds between words; 0 for all at once. */
  pace = 0;
  lose = false;
  readonly #words: string[] = [];

  info() {
    return {
      adapter: { name: "fake", vendor: "", architecture: "", kind: "cpu", backend: "none" },
      variant: "workgroup f32",
      features: { subgroups: false, f16: false, timestamps: false },
      memory: { weights: 1, kv: 1, scratch: 1, total: 3, contextLength: 100 },
      vocab: 100,
      model: { name: "Parrot", architecture: "llama", hasChatTemplate: true },
    };
  }

  selfCheckResults() {
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

  submit(endpoint: string, text: string, unique: string, onEvent: WasmListener): number {
    const body = JSON.parse(text) as Body;
    const prompt = body.messages?.map(({ content }) => content).join(" ") ?? body.prompt ?? "";
    const words = prompt.split(/(?<= )/);
    if (words.length > 50) throw new FakeError("input", "the prompt is too long");
    this.requests.push({ endpoint, body: text, unique });
    const id = this.requests.length;
    this.running.set(id, onEvent);
    void this.#answer(id, words, body, onEvent);
    return id;
  }

  cancel(id: number): void {
    this.#end(id)?.("error", "the request was cancelled", "cancelled");
  }

  async selfCheck() {
    return [{ name: "one", ok: true, error: "" }];
  }

  destroyDevice(): void {
    this.lose = true;
  }

  unload(): void {
    this.unloaded = true;
    for (const onEvent of this.running.values()) onEvent("error", "unloaded", "cancelled");
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

  async #answer(id: number, words: string[], { stream, max_tokens }: Body, onEvent: WasmListener) {
    const json = (content: string) => {
      const choice = stream ? { delta: { content } } : { message: { content } };
      onEvent("json", JSON.stringify({ id: this.requests[id - 1]!.unique, choices: [choice] }), "internal");
    };
    const said = words.slice(0, max_tokens);
    for (const word of said) {
      await new Promise((resolve) => setTimeout(resolve, this.pace));
      if (!this.running.has(id)) return;
      if (this.lose) {
        onEvent("lost", "the driver was reset", "internal");
        onEvent("restored", "", "internal");
      }
      if (stream) json(word);
    }
    if (!stream) json(said.join(""));
    this.#end(id)?.("done", "", "internal");
  }

  #end(id: number): WasmListener | undefined {
    const onEvent = this.running.get(id);
    this.running.delete(id);
    return onEvent;
  }
}

interface Body {
  messages?: { content: string }[];
  prompt?: string;
  stream?: boolean;
  max_tokens?: number;
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
      load: async (source, { selfCheckResults }, onProgress) => {
        if (!selfCheckResults) {
          onProgress({ phase: "tuning" });
          onProgress({ phase: "checking", done: 0, total: 120 });
        }
        onProgress({ phase: "compiling", done: 31, total: 46 });
        try {
          await this.read(source);
        } catch (error) {
          throw error instanceof FakeError ? error : new FakeError("io", String(error));
        }
        onProgress({ phase: "weights", done: source.size, total: source.size });
        const engine = new FakeEngine();
        engine.known = selfCheckResults ?? "";
        this.engines.push(engine);
        return engine;
      },
    },
  });
}
