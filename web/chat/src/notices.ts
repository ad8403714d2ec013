// Short messages at the edge of the page, with at most one thing to do about them.

import { signal } from "@preact/signals";

export interface Notice {
  id: number;
  text: string;
  tone: "calm" | "bad";
  /** Until it is put away, as bad news does. */
  stays?: boolean;
  action?: { label: string; run: () => void };
}

export const notices = signal<Notice[]>([]);
let last = 0;

export function notify(text: string, options: Partial<Pick<Notice, "tone" | "stays" | "action">> = {}): void {
  last += 1;
  const notice: Notice = { id: last, text, tone: "calm", ...options };
  notices.value = [...notices.value.slice(-2), notice];
  const passes = notice.tone === "calm" && notice.stays !== true;
  if (passes) setTimeout(() => dismiss(notice.id), notice.action ? 10_000 : 5_000);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

/** Messages of libraries are sentences without their ends. */
export function asSentence(text: string): string {
  const closed = /[.!?…:]["”’)]*$/.test(text) ? text : `${text}.`;
  // An address or a file name stays as it is written.
  const first = /^\S*/.exec(closed)?.[0] ?? "";
  const isName = /[/\\_]|\.\w|:$/.test(first);
  return isName ? closed : closed.charAt(0).toUpperCase() + closed.slice(1);
}

export const sentence = (error: unknown): string =>
  asSentence(error instanceof Error ? error.message : String(error));

/** For promises that nobody waits for. */
export function orSay(work: Promise<unknown>): void {
  work.catch((error: unknown) => notify(sentence(error), { tone: "bad" }));
}
