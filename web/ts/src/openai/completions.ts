// completions.create

import { integer, tokenIds, wrong } from "../check.js";
import type { Client } from "../client.js";
import type { Completion, CompletionChunk, CompletionLogprobs, CompletionRequest, FinishReason } from "../openai-types.js";
import type { Done, Piece, Prompt, Settings } from "../protocol.js";
import type { CallOptions, Stream } from "../types.js";
import { headOf, streamed, timingsOf, usageOf, whole } from "./run.js";
import { checkFields, count, defined, settingsOf } from "./settings.js";

const FIELDS = ["prompt", "logprobs"];

export async function createCompletion(
  client: Client,
  engine: number,
  model: string,
  body: CompletionRequest,
  options: CallOptions = {},
): Promise<Completion | Stream<CompletionChunk>> {
  const { prompt, settings } = completionRequest(body);
  const run = { client, engine, prompt, settings };
  const head = { ...headOf("cmpl", model), object: "text_completion" as const };
  const choice = <Finish extends FinishReason | null>(text: string, logprobs: CompletionLogprobs | null, finish_reason: Finish) => [
    { index: 0, text, logprobs, finish_reason },
  ];
  if (!body.stream) {
    const [pieces, done] = await whole(run, options);
    const logprobs = settings.logprobs === undefined ? null : logprobsOf(pieces, 0);
    return { ...head, choices: choice(done.text, logprobs, done.finishReason), usage: usageOf(done), timings: timingsOf(done) };
  }
  const counting = body.stream_options?.include_usage === true;
  const usage = counting ? { usage: null } : {};
  let offset = 0;
  return streamed<CompletionChunk>(run, options, {
    start: () => [],
    piece: (piece: Piece) => {
      const logprobs = piece.logprobs ? logprobsOf([piece], offset) : null;
      offset += piece.text.length;
      return piece.text === "" && !logprobs ? [] : [{ ...head, choices: choice(piece.text, logprobs, null), ...usage }];
    },
    end: (done: Done) => [
      { ...head, choices: choice("", null, done.finishReason), ...usage, timings: timingsOf(done) },
      ...(counting ? [{ ...head, choices: [], usage: usageOf(done) }] : []),
    ],
  });
}

/** For the host: the prompt, and how to draw tokens. */
export function completionRequest(body: CompletionRequest): { prompt: Prompt; settings: Settings } {
  const fields = checkFields(body, FIELDS);
  const settings = defined<Settings>({
    ...settingsOf(fields),
    maxTokens: count("max_tokens", fields.max_tokens, 1),
    logprobs: integer("logprobs", fields.logprobs, 0, 20),
  });
  return { prompt: promptOf(fields.prompt), settings };
}

function promptOf(prompt: unknown): Prompt {
  if (typeof prompt === "string") return { text: prompt };
  const ids = Array.isArray(prompt) && prompt.length > 0 && prompt.every((id) => typeof id === "number");
  if (!ids) throw wrong("prompt", prompt, "one text, or one list of token ids");
  return { tokens: tokenIds("a token of prompt", prompt) };
}

function logprobsOf(pieces: Piece[], offset: number): CompletionLogprobs {
  const out: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  for (const { text, logprobs } of pieces) {
    if (logprobs) {
      out.tokens.push(logprobs.text);
      out.token_logprobs.push(logprobs.logprob);
      out.top_logprobs.push(Object.fromEntries(logprobs.top.map((other) => [other.text, other.logprob])));
      out.text_offset.push(offset);
    }
    offset += text.length;
  }
  return out;
}
