// wgpu's WebGPU backend can't ask for the feature "subgroups" (gfx-rs/wgpu issue 10146), though
// the kernels that use it run. So it is added to wgpu's request on the way to the browser.

import { reportExhaustion } from "./exhaustion.js";

/** Only requests with this label are touched: the page may use WebGPU for other things. */
export const DEVICE_LABEL = "wisp";

const WANTED = ["subgroups", "subgroup-size-control"];

let users = 0;
let restore = () => {};

/** Adds the features to our requests until the returned function is called. */
export function askForSubgroups(): () => void {
  users += 1;
  if (users === 1) restore = wrap(GPUAdapter.prototype);
  let done = false;
  return () => {
    if (done) return;
    done = true;
    users -= 1;
    if (users === 0) restore();
  };
}

type Requester = Pick<GPUAdapter, "requestDevice" | "features">;

/** For tests: `prototype` may be another one than the browser's. */
export function wrap(prototype: Requester): () => void {
  const original = prototype.requestDevice;
  let active = true;
  function requestDevice(this: Requester, descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> {
    if (!active || descriptor?.label !== DEVICE_LABEL) return original.call(this as GPUAdapter, descriptor);
    const offered = WANTED.filter((name) => this.features.has(name));
    const requiredFeatures = new Set([...(descriptor.requiredFeatures ?? []), ...offered] as GPUFeatureName[]);
    const device = original.call(this as GPUAdapter, { ...descriptor, requiredFeatures: [...requiredFeatures] });
    return device.then(reportExhaustion);
  }
  prototype.requestDevice = requestDevice;
  return () => {
    active = false;
    // Someone may have wrapped it after us; then ours stays below theirs, doing nothing.
    if (prototype.requestDevice === requestDevice) prototype.requestDevice = original;
  };
}
