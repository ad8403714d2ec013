// Builds dist/: TypeScript, the one bundled library, and the wasm files that `cargo xtask web`
// has put into src/wasm.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

process.chdir(fileURLToPath(new URL(".", import.meta.url)));
const wasm = "src/wasm/wisp_web_bg.wasm";
if (!existsSync(wasm)) {
  console.error(`${wasm} is missing: run \`cargo xtask web --build\`, which makes it and then this package`);
  process.exit(1);
}
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/lib/tsc.js"], { stdio: "inherit" });
await build({
  entryPoints: ["src/sha256.ts"],
  outfile: "dist/sha256.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "inline",
});
rmSync("dist/sha256.d.ts", { force: true });
cpSync("src/wasm", "dist/wasm", { recursive: true, filter: (file) => !file.endsWith(".gitignore") });
