// Memory that a device can't have. Browsers tell of it through error scopes, but may also throw
// from `createBuffer`, which wgpu takes for impossible: here that becomes what a scope tells.

/** `GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST`, which TypeScript does not know. */
const STORAGE_AND_COPIES = 0x8c;

/** Has a device tell of all failed allocations through its error scopes. */
export function reportExhaustion(device: GPUDevice): GPUDevice {
  const { createBuffer, pushErrorScope, popErrorScope } = device;
  if (!createBuffer) return device;
  const scopes: { filter: GPUErrorFilter; message: string | undefined }[] = [];
  // In place of what can't be had. It is made now: later nothing may be left.
  const spare = createBuffer.call(device, {
    size: 16,
    usage: STORAGE_AND_COPIES,
  });
  return Object.assign(device, {
    createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer {
      try {
        return Object.getPrototypeOf(device).createBuffer.call(device, descriptor) as GPUBuffer;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        const scope = scopes.findLast(({ filter }) => filter === "out-of-memory");
        if (!scope) {
          const failure = new GPUOutOfMemoryError(error.message);
          device.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error: failure }));
        } else scope.message ??= error.message;
        return spare;
      }
    },
    pushErrorScope(filter: GPUErrorFilter): void {
      scopes.push({ filter, message: undefined });
      pushErrorScope.call(device, filter);
    },
    async popErrorScope(): Promise<GPUError | null> {
      const message = scopes.pop()?.message;
      const error = await popErrorScope.call(device);
      return message === undefined ? error : new GPUOutOfMemoryError(message);
    },
  });
}
