// An engine that needs no GPU, behind the interface of `wisp-llm`: for the page's own tests and
// for looking at the page (`vite --mode fake`). Words in the address choose what happens:
// `?fake=memory`, `no-webgpu`, `slow`, `software`, `broken-download`, `unreachable`, `no-storage`.

import type * as wisp from "wisp-llm";
import { answerTo } from "./fake-answers";

const words = new URLSearchParams(location.search).get("fake")?.split(",") ?? [];
const when = (word: string): boolean => words.includes(word);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

class FakeError extends Error {
  constructor(
    readonly kind: wisp.WispErrorKind,
    message: string,
  ) {
    super(message);
    this.name = "WispError";
  }
}

const KEY = "fake-models";
const MODELS = (): wisp.StoredModel[] => JSON.parse(localStorage.getItem(KEY) ?? "[]") as wisp.StoredModel[];
const keep = (models: wisp.StoredModel[]) => localStorage.setItem(KEY, JSON.stringify(models));

export const listModels: typeof wisp.listModels = async () => MODELS();
export const deleteModel: typeof wisp.deleteModel = async (id) => keep(MODELS().filter((one) => one.id !== id));
export const quota: typeof wisp.quota = async () => {
  if (when("no-storage")) throw new FakeError("storage", "This window has no storage.");
  return { usage: MODELS().reduce((sum, one) => sum + one.stored, 1_400_000), available: 12.4e9, persistent: true };
};

export const checkSupport: typeof wisp.checkSupport = async () => {
  if (when("no-webgpu")) {
    return {
      ok: false,
      kind: "no-webgpu",
      message: "This browser has no WebGPU.",
      advice: "Use a recent Chrome, Edge, Safari or Firefox, or switch WebGPU on.",
    };
  }
  const software = when("software");
  return { ok: true, adapter: { vendor: "fake", architecture: "", description: "", software }, features: [] };
};

const memory = (contextLength: number): wisp.Memory => {
  const kv = contextLength * 46_080;
  return { weights: 104e6, kv, scratch: 21e6, total: 125e6 + kv, contextLength };
};

export const planMemory: typeof wisp.planMemory = async (model, options) => {
  await pause(100);
  // As the engine does: it asks the model's host.
  if (typeof model === "string" && new URL(model).origin !== location.origin) {
    await fetch(model, { mode: "no-cors" }).catch(() => undefined);
  }
  const tokens = options?.contextLength ?? 4096;
  if (when("memory") && tokens > 1024) throw tooBig(tokens);
  return memory(tokens);
};

const tooBig = (tokens: number) =>
  new FakeError("memory", `A context of ${tokens} tokens needs 314 MB and this GPU gives 200 MB: choose a smaller context.`);

export const load: typeof wisp.load = async (model, options = {}) => {
  const { signal, onProgress, contextLength = 4096 } = options;
  const from = typeof model === "string" ? model : "";
  const files = model instanceof File ? [model] : Array.isArray(model) ? (model as Blob[]) : [];
  const [file] = files;
  const kept = typeof model === "object" && "complete" in model ? model : MODELS().find((one) => one.url === from && from !== "");
  const size = kept?.size ?? file?.size ?? 98_362_432;
  const pace = when("slow") ? 250 : 15;
  if (when("unreachable")) {
    const address = "https://huggingface.co/someone/with-a-name/resolve/0123456789abcdef0123456789abcdef01234567/a-rather-long-file-name-without-any-space.Q4_K_M.gguf";
    throw new FakeError("network", `${address}: cannot be reached (Failed to fetch)`);
  }
  if (!kept) {
    for (let part = 1; part <= 20; part += 1) {
      await pause(pace);
      signal?.throwIfAborted();
      if (when("broken-download") && part === 8) {
        throw new FakeError("network", "The connection to models.example broke after 39 MB and could not be made again: try again to go on from there.");
      }
      onProgress?.({ phase: "download", loaded: (size * part) / 20, total: size, bytesPerSecond: 8.2e6 });
    }
    keep([...MODELS(), { id: crypto.randomUUID(), name: options.name ?? "model", url: from, size, stored: size, complete: true, lastUsed: Date.now() }]);
  }
  for (const phase of ["check", "compile"] as const) {
    for (const loaded of [0, 15, 31, 46]) {
      onProgress?.({ phase, loaded, total: 46 });
      await pause(pace / 2);
      signal?.throwIfAborted();
    }
  }
  if (when("memory") && contextLength > 1024) throw tooBig(contextLength);
  onProgress?.({ phase: "weights", loaded: size, total: size, bytesPerSecond: 9e8 });
  await pause(pace);
  return engine(contextLength, options);
};

/** What becomes of a message that the engine's worker tries to send away. */
const probe = (worker: Worker): Promise<string> =>
  new Promise((resolve) => {
    worker.addEventListener("message", ({ data }: MessageEvent<string>) => resolve(data), { once: true });
    worker.postMessage("https://example.com/?secret");
  });

function engine(contextLength: number, options: wisp.LoadOptions): wisp.WispEngine {
  const info: wisp.Info = {
    adapter: {
      name: when("software") ? "SwiftShader" : "Radeon RX 9070",
      vendor: "fake",
      architecture: "",
      kind: when("software") ? "cpu" : "discrete-gpu",
      backend: "webgpu",
    },
    variant: "subgroup f16",
    features: { subgroups: true, f16: true, timestamps: true },
    memory: memory(contextLength),
    vocab: 49_152,
    model: { name: "fake", architecture: "llama", hasChatTemplate: true },
  };
  async function* stream(body: wisp.ChatCompletionRequest, signal: AbortSignal) {
    const last = body.messages.at(-1)?.content;
    const asked = typeof last === "string" ? last : "";
    const answer = asked.includes("[worker]") ? `The worker’s message was ${await probe(options.worker as Worker)}.` : answerTo(asked, body);
    const pieces = answer.match(/\s*\S{1,5}/g) ?? [];
    const base = { id: "chat-1", object: "chat.completion.chunk" as const, created: 0, model: "fake" };
    const choice = { index: 0, logprobs: null, finish_reason: null };
    const pace = when("slow") ? 60 : 6;
    await pause(pace * 20);
    for (const [index, content] of pieces.entries()) {
      if (signal.aborted) throw new DOMException("The request was aborted.", "AbortError");
      if (asked.includes("[lose]") && index === 10) {
        options.onEvent?.({ type: "device-lost", message: "The GPU was reset." });
        await pause(1200);
        options.onEvent?.({ type: "device-restored" });
      }
      if (asked.includes("[fail]") && index === 10) {
        throw new FakeError("memory", "The conversation has 4,102 tokens and the context 4,096: load the model with a longer context, or begin a new conversation.");
      }
      yield { ...base, choices: [{ ...choice, delta: { content } }] };
      await pause(pace);
    }
    const timings = { prefill_ms: 310, prefill_tokens: 42, prefill_tokens_per_second: 135, decode_ms: 4000, decode_tokens: pieces.length - 1, decode_tokens_per_second: 48.6, accepted_draft_tokens: 0 };
    yield { ...base, choices: [{ ...choice, delta: {}, finish_reason: "stop" as const }], timings };
    const usage = { prompt_tokens: 42, completion_tokens: pieces.length, total_tokens: 42 + pieces.length, prompt_tokens_details: { cached_tokens: 0 } };
    yield { ...base, choices: [], usage };
  }
  const create = async (body: wisp.ChatCompletionRequest, { signal }: wisp.CallOptions = {}) => {
    const controller = new AbortController();
    signal?.addEventListener("abort", () => controller.abort());
    return Object.assign(stream(body, controller.signal), { controller });
  };
  return {
    chat: { completions: { create } },
    info: async () => info,
    unload: async () => undefined,
  } as unknown as wisp.WispEngine;
}
