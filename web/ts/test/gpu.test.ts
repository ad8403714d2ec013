import { afterEach, expect, test, vi } from "vitest";
import { checkSupport } from "../src/index.js";
import { wrap } from "../src/subgroups.js";

afterEach(() => vi.unstubAllGlobals());

class Adapter {
  features = new Set(["subgroups", "timestamp-query"]);
  asked: unknown;
  async requestDevice(descriptor?: unknown) {
    this.asked = descriptor;
    return {} as GPUDevice;
  }
}

const wrapAdapter = () => wrap(Adapter.prototype as never);

test("only our request is changed, and only by what the adapter has", async () => {
  const restore = wrapAdapter();
  const adapter = new Adapter();
  await adapter.requestDevice({ label: "wisp", requiredFeatures: ["timestamp-query"] });
  expect(adapter.asked).toEqual({ label: "wisp", requiredFeatures: ["timestamp-query", "subgroups"] });
  const other = { label: "three.js" };
  await adapter.requestDevice(other);
  expect(adapter.asked).toBe(other);
  await adapter.requestDevice();
  expect(adapter.asked).toBeUndefined();
  restore();
});

test("afterwards everything is as before, even if another one has wrapped it since", async () => {
  const original = Adapter.prototype.requestDevice;
  wrapAdapter()();
  expect(Adapter.prototype.requestDevice).toBe(original);
  const restore = wrapAdapter();
  const ours = Adapter.prototype.requestDevice;
  const theirs = function (this: Adapter, descriptor?: unknown) {
    return ours.call(this, descriptor);
  };
  Adapter.prototype.requestDevice = theirs;
  restore();
  expect(Adapter.prototype.requestDevice).toBe(theirs);
  const adapter = new Adapter();
  await adapter.requestDevice({ label: "wisp" });
  expect(adapter.asked).toEqual({ label: "wisp" });
  Adapter.prototype.requestDevice = original;
});

const gpu = (requestAdapter: () => Promise<unknown>) => ({ gpu: { requestAdapter }, userAgent: "" });

test.each([
  ["insecure-context", false, {}],
  ["no-webgpu", true, { userAgent: "Mozilla/5.0 Firefox/130.0" }],
  ["no-adapter", true, gpu(async () => null)],
  ["blocked", true, gpu(() => Promise.reject(new Error("not allowed here")))],
])("%s is told, with what to do", async (kind, secure, navigator) => {
  vi.stubGlobal("isSecureContext", secure);
  vi.stubGlobal("navigator", navigator);
  const support = await checkSupport();
  expect(support).toMatchObject({ ok: false, kind, message: expect.stringMatching(/.{10}/), advice: expect.stringMatching(/.{10}/) });
});

test("a content security policy that forbids WebAssembly is told", async () => {
  vi.stubGlobal("isSecureContext", true);
  vi.stubGlobal("navigator", gpu(async () => new Adapter()));
  vi.stubGlobal("WebAssembly", { Module: class { constructor() { throw new Error("refused"); } } });
  expect(await checkSupport()).toMatchObject({ kind: "blocked", advice: "add 'wasm-unsafe-eval' to its script-src" });
});

test("a software adapter is called one", async () => {
  vi.stubGlobal("isSecureContext", true);
  const adapter = { features: new Set(["b", "a"]), info: { vendor: "google", architecture: "swiftshader", description: "", isFallbackAdapter: false } };
  vi.stubGlobal("navigator", gpu(async () => adapter));
  expect(await checkSupport()).toMatchObject({ ok: true, adapter: { vendor: "google", software: true }, features: ["a", "b"] });
});
