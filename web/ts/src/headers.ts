// Headers of models that were planned for in this page: the next plan needs no network.

import type { Header } from "./protocol.js";

/** Bytes of all of them at most. */
const MOST = 64 << 20;

/** By URL; the least recently used first. */
const headers = new Map<string, Header>();

export function headerOf(url: string): Header | undefined {
  const header = headers.get(url);
  if (header) keepHeader(url, header);
  return header;
}

export function keepHeader(url: string, header: Header): void {
  headers.delete(url);
  headers.set(url, header);
  let total = 0;
  for (const [other, { parts }] of [...headers].reverse()) {
    total += parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (total > MOST) headers.delete(other);
  }
}
