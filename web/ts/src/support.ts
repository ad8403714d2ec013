// Whether this browser can run the engine, and if not, what to do.

import { requestAdapter, Unsupported } from "./adapter.js";
import type { Support } from "./types.js";

/** Tells whether `load` can work here, without loading anything. */
export async function checkSupport(): Promise<Support> {
  try {
    const adapter = await requestAdapter();
    const { vendor, architecture, description } = adapter.info;
    const software = isSoftware(adapter.info);
    return { ok: true, adapter: { vendor, architecture, description, software }, features: [...adapter.features].sort() };
  } catch (error) {
    if (error instanceof Unsupported) {
      return { ok: false, kind: error.unsupported, message: error.what, advice: error.advice };
    }
    throw error;
  }
}

function isSoftware(info: GPUAdapterInfo): boolean {
  return info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|warp/i.test(`${info.architecture} ${info.description}`);
}
