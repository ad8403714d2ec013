// A page with an engine in it: protocol, host and all, but for wasm and the GPU.

import { afterEach, beforeEach, vi } from "vitest";
import { provideHost } from "../src/connect.js";
import { serve } from "../src/host.js";
import { stubBrowser } from "./browser.js";
import { FakeWasm } from "./fake-wasm.js";

export let wasm: FakeWasm;

class FakeAdapter {
  readonly features = new Set<string>();
  readonly info = { subgroupMinSize: 4, subgroupMaxSize: 4 };
  async requestDevice() {
    return {};
  }
}

export function useFakePage(): void {
  beforeEach(() => {
    stubBrowser();
    wasm = new FakeWasm();
    vi.stubGlobal("isSecureContext", true);
    vi.stubGlobal("GPUAdapter", FakeAdapter);
    Object.assign(navigator, { gpu: { requestAdapter: async () => new FakeAdapter() } });
    provideHost((port) => serve(port, wasm.module));
  });
  afterEach(() => vi.unstubAllGlobals());
}
