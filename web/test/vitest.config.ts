import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/*.test.ts"],
    // One browser at a time: two would only share the processor.
    fileParallelism: false,
    globalSetup: "src/scratch.ts",
    // Generous: a software GPU shares the processor with whatever else runs.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
