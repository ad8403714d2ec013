// The official package's types accept our answers, and our types its requests. Only compiled:
// `npm run check` fails where they part.

import type * as Official from "openai/resources";
import { expect, test } from "vitest";
import type { ChatCompletion, ChatCompletionChunk, Completion, CompletionChunk, WispEngine } from "../src/types.js";

const chat = (ours: ChatCompletion): Official.ChatCompletion => ours;
const chunk = (ours: ChatCompletionChunk): Official.ChatCompletionChunk => ours;
const completion = (ours: Completion): Official.Completion => ours;

// The official type says that each chunk of a text completion has a reason to end, and usage
// or none at all; its server sends null until the last one, and so do we.
type Ended = Omit<CompletionChunk, "choices" | "usage"> & { choices: Completion["choices"] };
const textChunk = (ours: Ended): Official.Completion => ours;

/** The usual way to call theirs is a way to call ours. */
async function calls(engine: WispEngine): Promise<string> {
  const messages: Official.ChatCompletionUserMessageParam[] = [{ role: "user", content: "Hi" }];
  const body = { model: "any", messages, temperature: 0.5 } satisfies Official.ChatCompletionCreateParams;
  const texts = messages.map(({ content }) => ({ role: "user" as const, content: content as string }));
  const whole = await engine.chat.completions.create({ ...body, messages: texts });
  let out = whole.choices[0]!.message.content;
  for await (const piece of await engine.chat.completions.create({ messages: texts, stream: true })) {
    out += piece.choices[0]?.delta.content ?? "";
  }
  return out;
}

test("the types are compatible", () => {
  for (const typed of [chat, chunk, completion, textChunk, calls]) expect(typed).toBeTypeOf("function");
});
