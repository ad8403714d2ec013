import { appendFileSync } from "node:fs";

/** A figure for whoever reads the test's output, and for a file that `WISP_FIGURES` may name. */
export function print(text: string): void {
  process.stdout.write(`  · ${text}\n`);
  if (process.env.WISP_FIGURES) appendFileSync(process.env.WISP_FIGURES, `${text}\n`);
}
