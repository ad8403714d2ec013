// One round of a rival: a backend of llama.cpp's by way of node-llama-cpp.
//
//   node bench.mjs MODULES MODEL PROMPT_TOKENS GENERATE CONTEXT vulkan|cuda|cpu
//
// MODULES is the folder with `node_modules`. Prints one JSON object: tokens a second
// in prefill and decode, each after a warm-up that compiles the pipelines.

import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

// llama.cpp leaves CPU devices such as lavapipe out unless it is told which to take.
process.env.GGML_VK_VISIBLE_DEVICES ??= "0";

const [modules, model, promptTokens, generate, context, backend] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), "package.json"));
const entry = pathToFileURL(require.resolve("node-llama-cpp"));
const { getLlama, LlamaLogLevel } = await import(entry);

const llama = await getLlama({
    gpu: backend === "cpu" ? false : backend,
    build: "never",
    logLevel: LlamaLogLevel.error,
    vramPadding: 0,
});
const loadStart = performance.now();
const loaded = await llama.loadModel({
    modelPath: resolve(model),
    gpuLayers: backend === "cpu" ? 0 : "max",
    ignoreMemorySafetyChecks: true,
});
const loadMs = performance.now() - loadStart;
const session = await loaded.createContext({
    contextSize: Number(context),
    threads: backend === "cpu" ? availableParallelism() : 0,
    ignoreMemorySafetyChecks: true,
});
const sequence = session.getSequence();

// Any text will do, as long as it is long enough: speed does not depend on it.
const text = "The quick brown fox jumps over the lazy dog. ".repeat(promptTokens);
const prompt = loaded.tokenize(text).slice(0, Number(promptTokens));

async function prefill(tokens) {
    await sequence.clearHistory();
    const start = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(tokens);
    return performance.now() - start;
}

// Each token is computed from the one before; the first is of the prompt.
async function decode(first, count) {
    let done = 0;
    const start = performance.now();
    for await (const _ of sequence.evaluate([first], { temperature: 0, yieldEogToken: true })) {
        done += 1;
        if (done === count) {
            break;
        }
    }
    return { ms: performance.now() - start, done };
}

await prefill(prompt);
await decode(prompt[0], 2);
const prefillMs = await prefill(prompt);
const decoded = await decode(prompt[0], Number(generate));

const result = {
    device: (await llama.getGpuDeviceNames()).join(", "),
    gpu: llama.gpu,
    gpu_layers: loaded.gpuLayers,
    load_ms: loadMs,
    prefill_tokens_per_s: (prompt.length * 1000) / prefillMs,
    decode_tokens_per_s: (decoded.done * 1000) / decoded.ms,
};
await new Promise((done) => process.stdout.write(`${JSON.stringify(result)}\n`, done));
// Its threads would keep the process alive.
process.exit(0);
