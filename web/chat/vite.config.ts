import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { contentSecurityPolicy, serviceWorker } from "./build/plugins.ts";

const test = (name: string): string => resolve(import.meta.dirname, "test", name);
const FAKE = [
  { find: /^wisp-llm$/, replacement: test("fake.ts") },
  { find: /^wisp-llm\/worker/, replacement: test("fake-worker.ts") },
];

export default defineConfig(({ mode }) => ({
  // Relative: the folder works from any path of any host.
  base: "./",
  plugins: [contentSecurityPolicy(), serviceWorker()],
  resolve: {
    // `--mode fake`: the page with an engine that needs no GPU, for the page's own tests.
    alias: mode === "fake" ? FAKE : [],
  },
  build: {
    target: "es2022",
    outDir: mode === "fake" ? "node_modules/.fake" : "dist",
    emptyOutDir: true,
    // The policy allows no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" as const },
  test: { environment: "jsdom", include: ["test/**/*.test.ts"] },
}));
