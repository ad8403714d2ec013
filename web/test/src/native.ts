// What the native program says to a prompt, for comparison.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { MODEL, WISP } from "./paths.js";

export interface Native {
  prompt_tokens: number[];
  tokens: number[];
  text: string;
}

/** Greedily, and without f16: the browser's software adapter has none. */
export async function generate(prompt: string, tokens: number, model = MODEL): Promise<Native> {
  const args = ["generate", model, "--prompt", prompt, "--max-tokens", String(tokens)];
  const { stdout } = await promisify(execFile)(WISP, [...args, "--json", "--caps", "f16=off", "--quiet"]);
  return JSON.parse(stdout) as Native;
}
