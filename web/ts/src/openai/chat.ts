// chat.completions.create

import { choice, integer, plain, record, wrong } from "../check.js";
import type { Client } from "../client.js";
import { WispError } from "../error.js";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChoiceLogprobs,
  TokenLogprob,
} from "../openai-types.js";
import type { Piece, Prompt, Settings, TokenText } from "../protocol.js";
import type { CallOptions, Stream } from "../types.js";
import { headOf, streamed, timingsOf, usageOf, whole } from "./run.js";
import { checkFields, count, defined, settingsOf } from "./settings.js";

const FIELDS = ["messages", "tools", "tool_choice", "max_completion_tokens", "logprobs", "top_logprobs"];
const ROLES = ["system", "developer", "user", "assistant", "tool"];

export async function createChat(
  client: Client,
  engine: number,
  model: string,
  body: ChatCompletionRequest,
  options: CallOptions = {},
): Promise<ChatCompletion | Stream<ChatCompletionChunk>> {
  const { prompt, settings } = chatRequest(body);
  const run = { client, engine, prompt, settings };
  const head = headOf("chatcmpl", model);
  if (body.stream) return streamed(run, options, chunks(head, body));
  const [pieces, done] = await whole(run, options);
  return {
    ...head,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: done.text, refusal: null },
        logprobs: settings.logprobs === undefined ? null : { content: pieces.flatMap(logprobsOf), refusal: null },
        finish_reason: done.finishReason,
      },
    ],
    usage: usageOf(done),
    timings: timingsOf(done),
  };
}

/** For the host: the messages for the template, and how to draw tokens. */
export function chatRequest(body: ChatCompletionRequest): { prompt: Prompt; settings: Settings } {
  const fields = checkFields(body, FIELDS);
  choice("logprobs", fields.logprobs, [true, false]);
  const top = integer("top_logprobs", fields.top_logprobs, 0, 20);
  if (top !== undefined && !fields.logprobs) {
    throw new WispError("input", "top_logprobs needs logprobs: true");
  }
  const settings = defined<Settings>({
    ...settingsOf(fields),
    maxTokens:
      count("max_completion_tokens", fields.max_completion_tokens, 1) ?? count("max_tokens", fields.max_tokens, 1),
    logprobs: fields.logprobs ? (top ?? 0) : undefined,
  });
  return { prompt: { messages: messagesOf(fields.messages), tools: toolsOf(fields) }, settings };
}

function messagesOf(messages: unknown): unknown[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw wrong("messages", messages, "a list of at least one message");
  }
  return messages.map((each: unknown, index) => {
    const field = `messages[${index}]`;
    const message = record(field, each);
    if (!message || !ROLES.includes(message.role as string)) {
      throw wrong(`${field}.role`, message?.role, "system, developer, user, assistant or tool");
    }
    // Templates know only its older name.
    const role = message.role === "developer" ? "system" : message.role;
    return plain(field, { ...message, role, content: contentOf(`${field}.content`, message) });
  });
}

function contentOf(field: string, { role, content }: Record<string, unknown>): string {
  if (typeof content === "string") return content;
  if (content == null && role === "assistant") return "";
  if (!Array.isArray(content)) throw wrong(field, content, "a text, or a list of text parts");
  return content
    .map((each: unknown, index) => {
      const part = record(`${field}[${index}]`, each);
      if (part?.type !== "text") {
        throw new WispError("unsupported", `${field}[${index}] is of type "${part?.type}"; this version takes text only`);
      }
      if (typeof part.text !== "string") throw wrong(`${field}[${index}].text`, part.text, "a text");
      return part.text;
    })
    .join("");
}

function toolsOf({ tools, tool_choice }: Record<string, unknown>): unknown[] | undefined {
  if (tool_choice != null && tool_choice !== "auto" && tool_choice !== "none") {
    throw new WispError("unsupported", "tool_choice can't force a tool in this version: leave it out");
  }
  if (tools == null) return undefined;
  if (!Array.isArray(tools)) throw wrong("tools", tools, "a list of tools");
  return tool_choice === "none" || tools.length === 0 ? undefined : (plain("tools", tools) as unknown[]);
}

function chunks(head: ReturnType<typeof headOf>, { stream_options }: ChatCompletionRequest) {
  const counting = stream_options?.include_usage === true;
  type Choice = ChatCompletionChunk["choices"][number];
  const chunk = (choice: Omit<Choice, "index"> | undefined, more: Partial<ChatCompletionChunk> = {}): ChatCompletionChunk => ({
    ...head,
    object: "chat.completion.chunk",
    choices: choice ? [{ index: 0, ...choice }] : [],
    ...(counting && { usage: null }),
    ...more,
  });
  return {
    start: () => [chunk({ delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null })],
    piece: (piece: Piece) => {
      // Half a character, or what may become a stop text.
      if (piece.text === "" && !piece.logprobs) return [];
      const logprobs: ChoiceLogprobs | null = piece.logprobs ? { content: logprobsOf(piece), refusal: null } : null;
      return [chunk({ delta: { content: piece.text }, logprobs, finish_reason: null })];
    },
    end: (done: Parameters<typeof usageOf>[0]) => [
      chunk({ delta: {}, logprobs: null, finish_reason: done.finishReason }, { timings: timingsOf(done) }),
      ...(counting ? [chunk(undefined, { usage: usageOf(done) })] : []),
    ],
  };
}

function logprobsOf({ logprobs }: Piece): TokenLogprob[] {
  const plain = ({ text, bytes, logprob }: TokenText) => ({ token: text, logprob, bytes });
  return logprobs ? [{ ...plain(logprobs), top_logprobs: logprobs.top.map(plain) }] : [];
}
