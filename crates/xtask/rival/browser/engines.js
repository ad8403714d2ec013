// The three engines behind one interface, each as its own documentation shows it:
//
//   const engine = await load();
//   engine.adapter                      what computes, as the engine itself or its logs say
//   await engine.complete(text, n)      { prompt, tokens, firstMs, allMs }

const CONTEXT = 1024;

/** Counts and times what `start` hands to its callback, once a token. */
async function timed(start) {
    const began = performance.now();
    let firstMs = 0;
    const usage = await start(() => (firstMs ||= performance.now() - began));
    const allMs = performance.now() - began;
    return { ...usage, firstMs: firstMs || allMs, allMs };
}

export async function wisp() {
    const { load } = await import("/pkg/index.js");
    const engine = await load("/model.gguf", { contextLength: CONTEXT });
    const { adapter, variant } = await engine.info();
    return {
        adapter: `WebGPU: ${adapter.vendor} ${adapter.architecture} (${variant})`,
        complete: (prompt, max_tokens) =>
            timed(async (onToken) => {
                const stream_options = { include_usage: true };
                const body = { prompt, max_tokens, temperature: 0, stream: true, stream_options };
                let usage;
                for await (const chunk of await engine.completions.create(body)) {
                    if (chunk.choices[0]?.text) onToken();
                    usage = chunk.usage ?? usage;
                }
                return { prompt: usage.prompt_tokens, tokens: usage.completion_tokens };
            }),
    };
}

export async function transformers() {
    const submits = countSubmits();
    const { AutoModelForCausalLM, AutoTokenizer, env } =
        await import("/modules/@huggingface/transformers/dist/transformers.min.js");
    env.allowRemoteModels = false;
    env.allowLocalModels = true;
    env.localModelPath = "/onnx/";
    const ort = "/modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify";
    env.backends.onnx.wasm.wasmPaths = { mjs: `${ort}.mjs`, wasm: `${ort}.wasm` };
    const tokenizer = await AutoTokenizer.from_pretrained("model");
    const model = await AutoModelForCausalLM.from_pretrained("model", { dtype: "q4", device: "webgpu" });
    const { vendor, architecture } = (await env.backends.onnx.webgpu.device)?.adapterInfo ?? {};
    return {
        // Set by the first answer: the library says what it was asked for, not what it does.
        get adapter() {
            return submits.count > 0 ? `WebGPU: ${vendor} ${architecture}` : "wasm on the CPU";
        },
        complete: (text, max_new_tokens) =>
            timed(async (onToken) => {
                const inputs = tokenizer(text);
                let puts = 0;
                // The prompt comes first.
                const streamer = { put: () => void (puts++ > 0 && onToken()), end() {} };
                const lengths = { max_new_tokens, min_new_tokens: max_new_tokens };
                await model.generate({ ...inputs, ...lengths, do_sample: false, streamer });
                return { prompt: inputs.input_ids.dims[1], tokens: puts - 1 };
            }),
    };
}

export async function wllama() {
    const { Wllama } = await import("/modules/@wllama/wllama/esm/index.js");
    // What it computes on stands in llama.cpp's log only.
    let layers = "";
    const listen = (...words) => (layers ||= /offloaded (\d+)\/\d+ layers/.exec(words.join(" "))?.[1] ?? "");
    const logger = { debug: listen, log: listen, warn: listen, error: console.error };
    const engine = new Wllama({ default: "/modules/@wllama/wllama/esm/wasm/wllama.wasm" }, { logger });
    const n_threads = navigator.hardwareConcurrency;
    await engine.loadModelFromUrl(`${location.origin}/model.gguf`, { n_ctx: CONTEXT, n_threads });
    const onGpu = Number(layers) > 0;
    return {
        adapter: onGpu ? `WebGPU: ${layers} layers` : `wasm on the CPU, ${engine.getNumThreads()} threads`,
        complete: (prompt, max_tokens) =>
            timed(async (onToken) => {
                const body = { prompt, max_tokens, temperature: 0, stream: true };
                let last;
                for await (const chunk of await engine.createCompletion(body)) {
                    if (chunk.choices[0]?.text) onToken();
                    last = chunk;
                }
                const { prompt_n, cache_n, predicted_n } = last.timings;
                return { prompt: prompt_n + cache_n, tokens: predicted_n };
            }),
    };
}

/** Counts what this page hands to the GPU. */
function countSubmits() {
    const counter = { count: 0 };
    const { submit } = GPUQueue.prototype;
    GPUQueue.prototype.submit = function (...args) {
        counter.count += 1;
        return submit.apply(this, args);
    };
    return counter;
}
