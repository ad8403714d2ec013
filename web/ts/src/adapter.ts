// The GPU's adapter, and what to do where there is none. Apart from `support.ts`, whose types
// an application sees: not every TypeScript knows those of WebGPU.

import { reason, WispError } from "./error.js";
import type { UnsupportedKind } from "./types.js";

/** The adapter that wgpu will get too, or a typed error that says what is lacking. */
export async function requestAdapter(): Promise<GPUAdapter> {
  if (!globalThis.isSecureContext) {
    throw new Unsupported(
      "insecure-context",
      "browsers offer WebGPU only to pages that came over https, or from localhost",
      "serve this page over https",
    );
  }
  const gpu = navigator.gpu as GPU | undefined;
  if (!gpu) throw new Unsupported("no-webgpu", "this browser has no WebGPU", adviceFor(navigator.userAgent));
  if (!canCompile()) {
    throw new Unsupported(
      "blocked",
      "the page's content security policy forbids WebAssembly",
      "add 'wasm-unsafe-eval' to its script-src",
    );
  }
  let adapter: GPUAdapter | null;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    throw new Unsupported("blocked", `this browser refuses WebGPU here (${reason(error)})`, "open the page in a tab of its own");
  }
  // The latest of what is used here and by wgpu; what else is needed is older.
  if (adapter && !adapter.info) throw new Unsupported("no-webgpu", "this browser's WebGPU is too old", adviceFor(navigator.userAgent));
  if (adapter) return adapter;
  throw new Unsupported(
    "no-adapter",
    "this browser has WebGPU, but found no GPU that it may use",
    "switch hardware acceleration on in its settings, update the graphics driver, and look at chrome://gpu in Chrome or about:support in Firefox",
  );
}

export class Unsupported extends WispError {
  constructor(
    readonly unsupported: UnsupportedKind,
    readonly what: string,
    readonly advice: string,
  ) {
    super(unsupported, `${what}: ${advice}`);
  }
}

/** The smallest module there is. Only a content security policy can object. */
function canCompile(): boolean {
  try {
    return new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])) instanceof WebAssembly.Module;
  } catch {
    return false;
  }
}

function adviceFor(userAgent: string): string {
  if (/Firefox\//.test(userAgent)) return "update Firefox to version 141 or later, or set dom.webgpu.enabled in about:config, or use Chrome or Edge";
  if (/Chrome\//.test(userAgent)) {
    return /Linux/.test(userAgent) && !/Android/.test(userAgent)
      ? "update the browser; on Linux, WebGPU may have to be enabled in chrome://flags/#enable-unsafe-webgpu"
      : "update the browser to version 127 or later";
  }
  if (/Safari\//.test(userAgent)) return "update to Safari 26 or later";
  return "use a current Chrome, Edge, Safari or Firefox";
}
