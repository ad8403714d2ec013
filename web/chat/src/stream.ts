// An answer while it is being written: a pure function from what arrives to what is shown.

import type { ChatCompletionChunk } from "wisp-llm";
import type { Message, Stats } from "./schema";

export interface Live {
  text: string;
  /** Pieces that arrived; the engine's own count takes its place at the end. */
  tokens: number;
  promptTokens: number | null;
  /** Milliseconds, as given with the events. */
  started: number;
  first: number | null;
  last: number | null;
  tokensPerSecond: number | null;
  /** The GPU went away and is being set up again. */
  lost: boolean;
  finish: Stats["finish"] | null;
  error: { kind: string; message: string } | null;
}

export type StreamEvent =
  | { type: "chunk"; chunk: ChatCompletionChunk; at: number }
  | { type: "lost" }
  | { type: "restored" }
  | { type: "stopped" }
  | { type: "failed"; kind: string; message: string };

export function begin(at: number): Live {
  return {
    text: "",
    tokens: 0,
    promptTokens: null,
    started: at,
    first: null,
    last: null,
    tokensPerSecond: null,
    lost: false,
    finish: null,
    error: null,
  };
}

export function reduce(live: Live, event: StreamEvent): Live {
  switch (event.type) {
    case "chunk":
      return take(live, event.chunk, event.at);
    case "lost":
      return { ...live, lost: true };
    case "restored":
      return { ...live, lost: false };
    case "stopped":
      return { ...live, lost: false, finish: "stopped" };
    case "failed":
      return { ...live, lost: false, finish: "interrupted", error: { kind: event.kind, message: event.message } };
  }
}

function take(live: Live, chunk: ChatCompletionChunk, at: number): Live {
  const next = { ...live };
  const choice = chunk.choices[0];
  const piece = choice?.delta.content ?? "";
  if (piece !== "") {
    next.text += piece;
    next.tokens += 1;
    next.first ??= at;
    next.last = at;
    next.lost = false;
    next.tokensPerSecond = rate(next);
  }
  if (choice?.finish_reason) next.finish = choice.finish_reason;
  if (chunk.timings && chunk.timings.decode_tokens > 0) {
    next.tokensPerSecond = chunk.timings.decode_tokens_per_second;
  }
  if (chunk.usage) {
    next.tokens = chunk.usage.completion_tokens;
    next.promptTokens = chunk.usage.prompt_tokens;
  }
  return next;
}

/** Of the tokens after the first: that one is the prompt's doing. */
function rate({ tokens, first, last }: Live): number | null {
  if (tokens < 2 || first === null || last === null || last <= first) return null;
  return ((tokens - 1) * 1000) / (last - first);
}

/** What stays of it in the conversation. */
export function toMessage(live: Live, model: string): Message {
  return {
    role: "assistant",
    text: live.text,
    stats: {
      model: model.slice(0, 500),
      finish: live.finish ?? "interrupted",
      tokens: live.tokens,
      promptTokens: live.promptTokens,
      firstTokenMs: live.first === null ? null : live.first - live.started,
      tokensPerSecond: live.tokensPerSecond,
      ...(live.error === null ? {} : { error: live.error }),
    },
  };
}

/**
 * What a screen reader is to be told next: whole sentences and lines only, as they are complete.
 * `said` characters of `text` were told before.
 */
export function nextSentences(text: string, said: number, over: boolean): { say: string; said: number } {
  if (over) return { say: text.slice(said).trim(), said: text.length };
  const ends = [...text.slice(said).matchAll(/[.!?…:]["”’)]*\s|\n/g)];
  const end = ends.at(-1);
  if (!end) return { say: "", said };
  const until = said + end.index + end[0].length;
  return { say: text.slice(said, until).trim(), said: until };
}
