// The shapes of what is kept and exchanged, checked wherever it comes from outside.

import * as v from "valibot";

const number = (min: number, max: number) =>
  v.pipe(v.number(), v.minValue(min), v.maxValue(max));
const integer = (min: number, max: number) => v.pipe(number(min, max), v.integer());
const text = (longest: number) => v.pipe(v.string(), v.maxLength(longest));

export const Settings = v.object({
  temperature: number(0, 2),
  topP: number(0, 1),
  topK: integer(0, 1000),
  minP: number(0, 1),
  repetitionPenalty: number(0.5, 2),
  presencePenalty: number(-2, 2),
  frequencyPenalty: number(-2, 2),
  maxTokens: integer(1, 131_072),
  seed: v.nullable(integer(0, 2 ** 32 - 1)),
});
export type Settings = v.InferOutput<typeof Settings>;

/** Tame: small models lose the thread at higher temperatures. */
export const DEFAULTS: Settings = {
  temperature: 0.3,
  topP: 0.9,
  topK: 40,
  minP: 0.05,
  repetitionPenalty: 1.05,
  presencePenalty: 0,
  frequencyPenalty: 0,
  maxTokens: 1024,
  seed: null,
};

/** What is shown under an answer. */
export const Stats = v.object({
  model: text(500),
  /** Why it ended; `interrupted`: an error, or the page was closed. */
  finish: v.picklist(["stop", "length", "stopped", "interrupted"]),
  tokens: integer(0, 2 ** 31),
  promptTokens: v.nullable(integer(0, 2 ** 31)),
  firstTokenMs: v.nullable(number(0, 1e12)),
  tokensPerSecond: v.nullable(number(0, 1e9)),
  error: v.optional(v.object({ kind: text(100), message: text(10_000) })),
});
export type Stats = v.InferOutput<typeof Stats>;

export const Message = v.object({
  role: v.picklist(["user", "assistant"]),
  text: text(2_000_000),
  stats: v.optional(Stats),
});
export type Message = v.InferOutput<typeof Message>;

export const Conversation = v.object({
  id: v.pipe(text(100), v.minLength(1)),
  title: text(200),
  created: integer(0, 8.64e15),
  updated: integer(0, 8.64e15),
  system: text(100_000),
  settings: Settings,
  messages: v.pipe(v.array(Message), v.maxLength(10_000)),
});
export type Conversation = v.InferOutput<typeof Conversation>;

export const FORMAT = "wisp-conversations";

export const Export = v.object({
  format: v.literal(FORMAT),
  version: v.literal(1),
  conversations: v.pipe(v.array(Conversation), v.maxLength(10_000)),
});
export type Export = v.InferOutput<typeof Export>;

/** An entry of models.json, which whoever hosts the page may edit. */
export const ModelEntry = v.object({
  id: v.pipe(text(100), v.minLength(1)),
  name: text(200),
  about: v.optional(text(500)),
  url: text(2000),
  bytes: integer(1, 2 ** 50),
  sha256: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
  license: v.optional(text(100)),
  /** Bytes of KV cache (f16) for each token of context: with `bytes`, what the model needs. */
  kv_bytes_per_token: v.optional(integer(0, 2 ** 30)),
  /** False for a base model, which continues a text instead of answering. */
  chat: v.optional(v.boolean()),
});
export type ModelEntry = v.InferOutput<typeof ModelEntry>;

export const ModelList = v.object({
  models: v.pipe(v.array(ModelEntry), v.minLength(1)),
  /** Models on the page's own host that are not for all the world: `cargo xtask web` adds them. */
  local: v.optional(v.array(ModelEntry)),
  redirects: v.optional(v.array(v.string())),
});
export type ModelList = v.InferOutput<typeof ModelList>;

/** Where an issue is, in words: `conversation 2, message 5, role`. */
function place(issue: v.BaseIssue<unknown>): string {
  const words: string[] = [];
  for (const { key } of issue.path ?? []) {
    const list = words.at(-1);
    if (typeof key === "number" && list?.endsWith("s")) {
      words[words.length - 1] = `${list.slice(0, -1)} ${key + 1}`;
    } else {
      words.push(String(key));
    }
  }
  return words.join(", ");
}

/** The first thing that is wrong, as the middle of a sentence. */
export function firstIssue(issues: [v.BaseIssue<unknown>, ...v.BaseIssue<unknown>[]]): string {
  const [issue] = issues;
  const where = place(issue);
  if (issue.received === "undefined") return `“${where}” is missing`;
  const got = issue.received.length > 40 ? `${issue.received.slice(0, 39)}…` : issue.received;
  const wanted = String(issue.expected ?? issue.requirement);
  const words = wanted.replace("<=", "at most ").replace(">=", "at least ").replace(/^\((.*)\)$/, "$1").replaceAll(" | ", " or ");
  return `“${where || "the file"}” is ${got} and should be ${words}`;
}

/** Conversations out of the text of an exported file, or an error that is one sentence. */
export function parseExport(json: string): Conversation[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new Error("This file is not JSON: choose a file that was exported from Wisp.");
  }
  const format = (value as { format?: unknown } | null)?.format;
  if (format !== FORMAT) {
    throw new Error("This JSON file has no Wisp conversations: choose a file that was exported from Wisp.");
  }
  const version = (value as { version?: unknown }).version;
  if (version !== 1) {
    const shown = JSON.stringify(version) ?? "none";
    throw new Error(`This file has format version ${shown} and this page reads version 1: update the page and try again.`);
  }
  const result = v.safeParse(Export, value);
  if (!result.success) {
    throw new Error(`Nothing was imported from this damaged file: ${firstIssue(result.issues)}.`);
  }
  return result.output.conversations;
}

export function toExport(conversations: Conversation[]): string {
  const file: Export = { format: FORMAT, version: 1, conversations };
  return JSON.stringify(file, null, 2);
}
