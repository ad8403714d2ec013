// What chat and text completions have in common: sampling, lengths, stops.

import { choice, integer, number, record, U32, wrong } from "../check.js";
import { WispError } from "../error.js";
import type { Sampling } from "../openai-types.js";
import type { Settings } from "../protocol.js";

/** Fields of OpenAI's that change nothing here, and may be passed. */
const IGNORED = [
  "model",
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "parallel_tool_calls",
];

const COMMON: (keyof Sampling)[] = [
  "stream",
  "stream_options",
  "max_tokens",
  "stop",
  "seed",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "frequency_penalty",
  "presence_penalty",
  "repetition_penalty",
  "logit_bias",
  "n",
];

/** Fields that would change the answer, if this version could. `null` and the default are fine. */
const UNSUPPORTED: Record<string, unknown[]> = {
  response_format: ["text"],
  functions: [],
  function_call: ["none"],
  modalities: ["text"],
  audio: [],
  prediction: [],
  reasoning_effort: ["none"],
  verbosity: ["medium"],
  web_search_options: [],
  echo: [false],
  best_of: [1],
  suffix: [],
};

/** Refuses fields that don't exist, and those that can't be honoured. */
export function checkFields(body: unknown, own: string[]): Record<string, unknown> {
  const fields = record("body", body);
  if (!fields) throw wrong("body", body, "an object");
  for (const [field, value] of Object.entries(fields)) {
    if ([...own, ...COMMON, ...IGNORED].includes(field) || value == null) continue;
    const accepted = UNSUPPORTED[field];
    if (!accepted) throw new WispError("input", `${field} is not a field of this request`);
    const plain = Array.isArray(value) && value.length === 1 ? value[0] : ((value as { type?: unknown }).type ?? value);
    if (!accepted.includes(plain)) {
      throw new WispError("unsupported", `${field} is not supported by this version: leave it out`);
    }
  }
  choice("n", fields.n, [1]);
  choice("stream", fields.stream, [true, false]);
  const options = record("stream_options", fields.stream_options);
  choice("stream_options.include_usage", options?.include_usage, [true, false]);
  return fields;
}

/** Without `maxTokens` and `logprobs`, which the two spell differently. */
export function settingsOf(fields: Record<string, unknown>): Settings {
  return defined({
    stop: stops(fields.stop),
    seed: seedOf(fields.seed),
    temperature: number("temperature", fields.temperature, 0, 2) ?? 1,
    topP: number("top_p", fields.top_p, 0, 1),
    topK: count("top_k", fields.top_k, 0),
    minP: number("min_p", fields.min_p, 0, 1),
    frequencyPenalty: number("frequency_penalty", fields.frequency_penalty, -2, 2),
    presencePenalty: number("presence_penalty", fields.presence_penalty, -2, 2),
    repetitionPenalty: number("repetition_penalty", fields.repetition_penalty, 0.01, 10),
    logitBias: biases(fields.logit_bias),
  });
}

/** A number of which more than any model has is as good as all. */
export function count(field: string, value: unknown, least: number): number | undefined {
  const given = integer(field, value, least);
  return given === undefined ? undefined : Math.min(given, U32);
}

/** A property that is `undefined` is left out. */
export function defined<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

/** The engine takes none below 0: those are moved above all others. */
function seedOf(value: unknown): number | undefined {
  const seed = integer("seed", value, Number.MIN_SAFE_INTEGER) ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  return seed < 0 ? seed + 2 ** 53 : seed;
}

function stops(value: unknown): string[] | undefined {
  if (value == null) return undefined;
  const list = Array.isArray(value) ? value : [value];
  if (list.every((stop) => typeof stop === "string" && stop !== "")) return Array.from(list as string[]);
  throw wrong("stop", value, "a text or a list of texts, none of them empty");
}

function biases(value: unknown): [number, number][] | undefined {
  const biases = record("logit_bias", value);
  return (
    biases &&
    Object.entries(biases).map(([token, bias]) => {
      if (!/^\d+$/.test(token) || Number(token) > U32) throw wrong("a token of logit_bias", token, "a token id");
      return [Number(token), number(`logit_bias of token ${token}`, bias, -100, 100) ?? 0];
    })
  );
}
