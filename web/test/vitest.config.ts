import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/*.test.ts"],
    // One browser at a time: two would only share the processor.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A failed step of a file leaves its page in an unknown state.
    bail: 0,
  },
});
