// Where things are. Two of them come from whoever runs the tests, see README.md.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export const PAGES = here("pages");
export const PACKAGE = here("../ts");
export const DIST = here("../ts/dist");
export const README = here("../README.md");
export const CHROMIUM = process.env.WISP_CHROMIUM ?? "/usr/bin/chromium";
export const MODEL = required("WISP_TEST_MODEL", "SmolLM2-135M-Instruct as GGUF");
/** The folder of larger models, for `models/models.test.ts`. */
export const MODELS = () => required("WISP_TEST_MODELS", "a folder with gemma3-270m.gguf and qwen2.5-coder-1.5b.gguf");
export const WISP = required("WISP_BIN", "the native program, made by `cargo build --release`");

function required(name: string, what: string): string {
  const path = process.env[name];
  if (!path || !existsSync(path)) {
    throw new Error(`set ${name} to the path of ${what}${path ? `: ${path} is not there` : ""}`);
  }
  return path;
}
