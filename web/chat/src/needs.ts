// What a model needs and what this machine is likely to have, told without contacting anybody.

import type { Support } from "wisp-llm";
import type { ModelEntry } from "./schema";

/** What steps of a small model take besides weights and cache, roughly. */
const SCRATCH = 50e6;

/** Bytes of GPU memory, about; null where the list does not tell enough. */
export function estimate(entry: ModelEntry, tokens: number): number | null {
  const { bytes, kv_bytes_per_token: cache } = entry;
  return cache === undefined ? null : bytes * 1.02 + tokens * cache + SCRATCH;
}

/** What browsers tell of the machine. */
export interface Machine {
  /** The processor computes in the graphics card's place. */
  software: boolean;
  mobile: boolean;
  /** GB of memory in steps; 8 stands for 8 and more. Undefined where the browser does not say. */
  memory: number | undefined;
}

export function thisMachine(support: Support | null): Machine {
  const { deviceMemory, userAgentData } = navigator as Navigator & {
    deviceMemory?: number;
    userAgentData?: { mobile?: boolean };
  };
  return {
    software: support?.ok === true && support.adapter.software,
    mobile: userAgentData?.mobile ?? /Mobi|Android|iPhone|iPad/.test(navigator.userAgent),
    memory: deviceMemory,
  };
}

/**
 * Bytes that a model may take without anybody regretting it. Browsers do not tell how much memory
 * a GPU has; its share of a machine's memory is the best guess. A processor could hold more, but
 * would compute it at a snail's pace.
 */
export function budget({ software, mobile, memory = 8 }: Machine): number {
  if (software) return 0.3e9;
  return mobile ? Math.min(memory * 0.15e9, 0.8e9) : memory * 0.4e9;
}

/**
 * Models that fit come first, the largest of them before the others; then those that were not
 * trained to chat; then what does not fit, by size.
 */
export function ranked(models: ModelEntry[], tokens: number, machine: Machine): ModelEntry[] {
  const room = budget(machine);
  const need = (entry: ModelEntry) => estimate(entry, tokens) ?? entry.bytes;
  const place = (entry: ModelEntry) => (need(entry) > room ? 2 : entry.chat === false ? 1 : 0);
  return [...models].sort((a, b) => place(a) - place(b) || (place(a) === 2 ? need(a) - need(b) : need(b) - need(a)));
}
