// An engine as the page sees it: every method is a call to the host.

import { choice, text, tokenIds, wrong } from "./check.js";
import type { Client } from "./client.js";
import { WispError } from "./error.js";
import { create } from "./openai/create.js";
import type { ChatCompletionRequest, CompletionRequest } from "./openai-types.js";
import type { CallOptions, WispEngine } from "./types.js";

/** For this repository's tests; not part of the interface. */
export const TESTING = Symbol.for("wisp-llm.testing");

export interface Testing {
  selfCheck(): Promise<{ name: string; ok: boolean; error: string }[]>;
  /** As if the driver had reset. */
  destroyDevice(): Promise<null>;
}

export function engineOn(client: Client, engine: number): WispEngine {
  let unloading: Promise<void> | undefined;
  const unload = async () => {
    try {
      await client.call("unload", { engine });
    } finally {
      const pending = new WispError("cancelled", "the engine was unloaded while it answered");
      client.end(new WispError("input", "this engine was unloaded: load the model again"), pending);
    }
  };
  const testing: Testing = {
    selfCheck: () => client.call("selfCheck", { engine }),
    destroyDevice: () => client.call("destroyDevice", { engine }),
  };
  const proxy = {
    chat: {
      completions: {
        create: (body: ChatCompletionRequest, options?: CallOptions) => create(client, engine, "chat/completions", body, options),
      },
    },
    completions: {
      create: (body: CompletionRequest, options?: CallOptions) => create(client, engine, "completions", body, options),
    },
    tokenize: async (given: string, options: { addSpecial?: boolean; parseSpecial?: boolean } = {}) => {
      const checked = text("text", given);
      if (checked === undefined) throw wrong("text", given, "a text");
      const addSpecial = choice("addSpecial", options.addSpecial, [true, false]) ?? true;
      const parseSpecial = choice("parseSpecial", options.parseSpecial, [true, false]) ?? true;
      return client.call("tokenize", { engine, text: checked, addSpecial, parseSpecial });
    },
    detokenize: async (tokens: ArrayLike<number>) =>
      client.call("detokenize", { engine, tokens: tokenIds("a token of tokens", tokens) }),
    info: () => client.call("info", { engine }),
    stats: () => client.call("stats", { engine }),
    unload: () => (unloading ??= unload()),
    [TESTING]: testing,
  };
  // Its `create` methods give what their overloads say.
  return proxy as unknown as WispEngine;
}
