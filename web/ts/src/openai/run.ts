// A request on its way: one answer at its end, or a stream of chunks.

import type { Client } from "../client.js";
import { wrong } from "../check.js";
import type { Timings, Usage } from "../openai-types.js";
import type { Done, Piece, Prompt, Settings } from "../protocol.js";
import type { CallOptions, Stream } from "../types.js";
import { openStream } from "./stream.js";

export interface Run {
  client: Client;
  engine: number;
  prompt: Prompt;
  settings: Settings;
}

/** The pieces of an answer, and how it ended. */
export async function whole({ client, engine, prompt, settings }: Run, options: CallOptions): Promise<[Piece[], Done]> {
  const pieces: Piece[] = [];
  const done = await client.call("generate", { engine, prompt, settings }, {
    signal: signalOf(options),
    onPieces: (more) => pieces.push(...more),
  });
  return [pieces, done];
}

/** How pieces become chunks. */
export interface ChunkMaker<T> {
  start(): T[];
  piece(piece: Piece): T[];
  end(done: Done): T[];
}

/** Resolves when the prompt was accepted: what is wrong with it is an error of `create`. */
export function streamed<T>({ client, engine, prompt, settings }: Run, options: CallOptions, make: ChunkMaker<T>): Promise<Stream<T>> {
  return new Promise((resolve, reject) => {
    const chunks = openStream<T>();
    const signal = AbortSignal.any([chunks.stream.controller.signal, ...[signalOf(options) ?? []].flat()]);
    let accepted = false;
    const onPieces = (pieces: Piece[]) => {
      if (!accepted) {
        accepted = true;
        make.start().forEach((chunk) => chunks.push(chunk));
        resolve(chunks.stream);
      }
      for (const piece of pieces) make.piece(piece).forEach((chunk) => chunks.push(chunk));
    };
    client.call("generate", { engine, prompt, settings }, { signal, onPieces }).then(
      (done) => {
        make.end(done).forEach((chunk) => chunks.push(chunk));
        chunks.end();
      },
      (error: unknown) => (accepted ? chunks.fail(error) : reject(error)),
    );
  });
}

function signalOf({ signal }: CallOptions): AbortSignal | undefined {
  if (signal == null || signal instanceof AbortSignal) return signal ?? undefined;
  throw wrong("signal", signal, "an AbortSignal");
}

export function usageOf({ promptTokens, tokens, timings }: Done): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: tokens.length,
    total_tokens: promptTokens + tokens.length,
    // After a device loss all is computed again.
    prompt_tokens_details: { cached_tokens: Math.max(0, promptTokens - timings.prefillTokens) },
  };
}

export function timingsOf({ timings: { prefillMs, prefillTokens, decodeMs, decodeTokens, guessedTokens } }: Done): Timings {
  const rate = (tokens: number, ms: number) => (ms > 0 ? (tokens * 1000) / ms : 0);
  return {
    prefill_ms: prefillMs,
    prefill_tokens: prefillTokens,
    prefill_tokens_per_second: rate(prefillTokens, prefillMs),
    decode_ms: decodeMs,
    decode_tokens: decodeTokens,
    decode_tokens_per_second: rate(decodeTokens, decodeMs),
    guessed_tokens: guessedTokens,
  };
}

/** What every answer and chunk begins with. */
export function headOf(prefix: string, model: string): { id: string; created: number; model: string } {
  return { id: `${prefix}-${crypto.randomUUID()}`, created: Math.floor(Date.now() / 1000), model };
}
