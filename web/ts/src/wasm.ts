// The WebAssembly module, fetched and compiled once.

import init, * as glue from "./wasm/wisp_web.js";
import { reason, WispError } from "./error.js";
import type { WasmModule } from "./wasm-types.js";

let module: Promise<WasmModule> | undefined;

export function wasm(): Promise<WasmModule> {
  module ??= start().catch((error: unknown) => {
    // The network may be back when it is tried again.
    module = undefined;
    throw error;
  });
  return module;
}

async function start(): Promise<WasmModule> {
  const url = new URL("./wasm/wisp_web_bg.wasm", import.meta.url);
  try {
    await init({ module_or_path: url });
  } catch (error) {
    throw new WispError(
      "network",
      `the engine can't be fetched from ${url.href} (${reason(error)}): serve that file with the page, and let its content security policy have 'wasm-unsafe-eval' in script-src`,
      { cause: error },
    );
  }
  return glue as unknown as WasmModule;
}
