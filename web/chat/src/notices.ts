// Short messages at the edge of the page, with at most one thing to do about them.

import { signal } from "@preact/signals";

export interface Notice {
  id: number;
  text: string;
  tone: "calm" | "bad";
  action?: { label: string; run: () => void };
}

export const notices = signal<Notice[]>([]);
let last = 0;

export function notify(text: string, options: Partial<Pick<Notice, "tone" | "action">> = {}): void {
  last += 1;
  const notice: Notice = { id: last, text, tone: "calm", ...options };
  notices.value = [...notices.value.slice(-2), notice];
  // Bad news stays until it is put away.
  if (notice.tone === "calm") setTimeout(() => dismiss(notice.id), notice.action ? 10_000 : 5_000);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

/** Messages of libraries are sentences without their ends. */
export function asSentence(text: string): string {
  const closed = /[.!?…:]["”’)]*$/.test(text) ? text : `${text}.`;
  return closed.charAt(0).toUpperCase() + closed.slice(1);
}

export const sentence = (error: unknown): string =>
  asSentence(error instanceof Error ? error.message : String(error));

/** For promises that nobody waits for. */
export function orSay(work: Promise<unknown>): void {
  work.catch((error: unknown) => notify(sentence(error), { tone: "bad" }));
}
