import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

class KernelsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const late = ({ moduleId }: TestSpecification) => Number(!moduleId.includes("kernels"));
    return (await super.sort(files)).sort((one, other) => late(one) - late(other));
  }
}

export default defineConfig({
  test: {
    // `models` takes larger models and an hour: only where it is asked for.
    include: process.env.WISP_TEST_MODELS ? ["models/*.test.ts"] : ["tests/*.test.ts"],
    // Two browsers at a time: each compiles kernels on one core. The check of all kernels takes as
    // long as half of the other files together, and begins first.
    maxWorkers: 2,
    sequence: { sequencer: KernelsFirst },
    globalSetup: "src/scratch.ts",
    // Generous: a software GPU shares the processor with whatever else runs.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
