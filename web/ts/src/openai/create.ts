// `create` of chat and text completions. Requests are checked and answers written in Rust (crate
// `wisp-api`): here both are only JSON.

import { record, wrong } from "../check.js";
import type { Client } from "../client.js";
import { reason, WispError } from "../error.js";
import type { Endpoint } from "../protocol.js";
import type { CallOptions, Stream } from "../types.js";
import { openStream } from "./stream.js";

/** An answer; a stream of chunks where the body asks for one. */
export async function create<Answer, Chunk>(
  client: Client,
  engine: number,
  endpoint: Endpoint,
  body: unknown,
  options: CallOptions = {},
): Promise<Answer | Stream<Chunk>> {
  const fields = record("body", body);
  if (!fields) throw wrong("body", body, "an object");
  const takes = { engine, endpoint, body: written(fields) };
  const signal = signalOf(options);
  if (fields.stream === true) return streamed(client, takes, signal);
  let answer = "";
  await client.call("generate", takes, { signal, onTexts: (texts) => (answer = texts.at(-1) ?? answer) });
  return JSON.parse(answer) as Answer;
}

type Takes = { engine: number; endpoint: Endpoint; body: string };

/** Resolves when the request was accepted: what is wrong with it is an error of `create`. */
function streamed<Chunk>(client: Client, takes: Takes, given: AbortSignal | undefined): Promise<Stream<Chunk>> {
  return new Promise((resolve, reject) => {
    const chunks = openStream<Chunk>();
    const own = chunks.stream.controller.signal;
    const signal = given ? AbortSignal.any([own, given]) : own;
    let accepted = false;
    const onTexts = (texts: string[]) => {
      accepted = true;
      resolve(chunks.stream);
      for (const text of texts) chunks.push(JSON.parse(text) as Chunk);
    };
    client.call("generate", takes, { signal, onTexts }).then(
      () => chunks.end(),
      (error: unknown) => (accepted ? chunks.fail(error) : reject(error)),
    );
  });
}

function signalOf({ signal }: CallOptions): AbortSignal | undefined {
  if (signal == null || signal instanceof AbortSignal) return signal ?? undefined;
  throw wrong("signal", signal, "an AbortSignal");
}

/** As JSON. What that would turn into nothing, as if it weren't there, is refused instead. */
function written(body: Record<string, unknown>): string {
  for (const [field, value] of Object.entries(body)) {
    if (typeof value === "function" || typeof value === "symbol") throw wrong(field, value, "plain data");
  }
  try {
    return JSON.stringify(body, (field, value: unknown) => {
      if (typeof value === "number" && !Number.isFinite(value)) throw wrong(field, value, "a number that JSON has");
      return value;
    });
  } catch (error) {
    if (error instanceof WispError) throw error;
    throw new WispError("input", `the request can't be written as JSON (${reason(error)})`, { cause: error });
  }
}
