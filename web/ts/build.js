// Builds dist/: the types, the bundled JavaScript, and the wasm that `cargo xtask web` has put
// into src/wasm.

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

process.chdir(fileURLToPath(new URL(".", import.meta.url)));
const glue = "wasm/wisp_web.js";
const wasm = "wasm/wisp_web_bg.wasm";
if (!existsSync(`src/${wasm}`)) {
  console.error(`src/${wasm} is missing: run \`cargo xtask web --build\`, which makes it and then this package`);
  process.exit(1);
}
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/lib/tsc.js"], { stdio: "inherit" });
// Not part of the interface; and not every TypeScript knows the types of WebGPU.
for (const inner of ["sha256", "adapter", "exhaustion", "subgroups"]) rmSync(`dist/${inner}.d.ts`);

const common = { outdir: "dist", format: "esm", target: "es2022", minify: true, sourcemap: true };
await build({
  ...common,
  entryPoints: ["src/index.ts", "src/worker.ts", "src/service-worker.ts"],
  bundle: true,
  splitting: true,
  // All files side by side: the worker and the wasm are found relative to whichever names them.
  chunkNames: "[name]-[hash]",
  external: [`./${glue}`],
  legalComments: "inline",
});
await build({ ...common, entryPoints: [`src/${glue}`], outdir: "dist/wasm" });
copyFileSync(`src/${wasm}`, `dist/${wasm}`);
// npm packs only what lies in this folder.
for (const license of ["LICENSE-MIT", "LICENSE-APACHE"]) copyFileSync(`../../${license}`, license);
