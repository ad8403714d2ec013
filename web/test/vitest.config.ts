import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // `models` takes larger models and an hour: only where it is asked for.
    include: process.env.WISP_TEST_MODELS ? ["models/*.test.ts"] : ["tests/*.test.ts"],
    // One browser at a time: two would only share the processor.
    fileParallelism: false,
    globalSetup: "src/scratch.ts",
    // Generous: a software GPU shares the processor with whatever else runs.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
