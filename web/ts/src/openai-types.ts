// Requests and answers in OpenAI's shapes. A test compares them with the official package's types.

export interface ChatCompletionRequest extends Sampling {
  messages: ChatMessage[];
  /** Given to the model's chat template. */
  tools?: Tool[] | null;
  tool_choice?: "none" | "auto" | null;
  max_completion_tokens?: number | null;
  /** Tell how likely each token was. */
  logprobs?: boolean | null;
  /** And so many of the likeliest, 0 to 20. */
  top_logprobs?: number | null;
}

export interface CompletionRequest extends Sampling {
  /** Text, or token ids. */
  prompt: string | number[];
  /** Tell how likely each token was, and so many of the likeliest, 0 to 20. */
  logprobs?: number | null;
}

/** What both have. Names and ranges are OpenAI's, but for those marked. */
export interface Sampling {
  /** Only echoed: an engine has one model. */
  model?: string;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean } | null;
  /** By default to the context's end. */
  max_tokens?: number | null;
  stop?: string | string[] | null;
  /** The same seed on the same adapter gives the same tokens. By default a random one. */
  seed?: number | null;
  /** 0 takes the likeliest token. By default 1. */
  temperature?: number | null;
  top_p?: number | null;
  /** Ours: keep the k likeliest tokens. */
  top_k?: number | null;
  /** Ours: drop tokens less likely than this share of the likeliest. */
  min_p?: number | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  /** Ours: above 1 makes repetition less likely. */
  repetition_penalty?: number | null;
  /** By token id, −100 to 100. */
  logit_bias?: Record<string, number> | null;
  /** Must be 1. */
  n?: number | null;
  user?: string;
  metadata?: Record<string, string> | null;
  store?: boolean | null;
}

export interface TextPart {
  type: "text";
  text: string;
}

export type ChatMessage =
  | { role: "system" | "developer" | "user"; content: string | TextPart[]; name?: string }
  | { role: "assistant"; content?: string | TextPart[] | null; name?: string; tool_calls?: ToolCall[] }
  | { role: "tool"; content: string | TextPart[]; tool_call_id: string };

export interface Tool {
  type: "function";
  function: { name: string; description?: string; parameters?: Record<string, unknown>; strict?: boolean | null };
}

export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export type FinishReason = "stop" | "length";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Prompt tokens that an earlier request had computed. */
  prompt_tokens_details: { cached_tokens: number };
}

/** Ours: how long it took, in the answer or the last chunk with a choice. */
export interface Timings {
  prefill_ms: number;
  /** Prompt tokens computed, those found in the cache left out. */
  prefill_tokens: number;
  prefill_tokens_per_second: number;
  decode_ms: number;
  /** Tokens after the first. */
  decode_tokens: number;
  decode_tokens_per_second: number;
  /** Of these, accepted draft tokens (`lookup`). */
  accepted_draft_tokens: number;
}

export interface TopLogprob {
  token: string;
  logprob: number;
  bytes: number[] | null;
}

export interface TokenLogprob extends TopLogprob {
  top_logprobs: TopLogprob[];
}

export interface ChoiceLogprobs {
  content: TokenLogprob[] | null;
  refusal: null;
}

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: {
    index: number;
    message: { role: "assistant"; content: string; refusal: null };
    logprobs: ChoiceLogprobs | null;
    finish_reason: FinishReason;
  }[];
  usage: Usage;
  timings: Timings;
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  /** Empty in the chunk that carries `usage`. */
  choices: {
    index: number;
    delta: { role?: "assistant"; content?: string };
    logprobs: ChoiceLogprobs | null;
    finish_reason: FinishReason | null;
  }[];
  /** In the last chunk, where `stream_options.include_usage` asked for it. */
  usage?: Usage | null;
  timings?: Timings;
}

export interface CompletionLogprobs {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
  text_offset: number[];
}

interface CompletionOf<Finish> {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: { index: number; text: string; logprobs: CompletionLogprobs | null; finish_reason: Finish }[];
  timings?: Timings;
}

export interface Completion extends CompletionOf<FinishReason> {
  usage: Usage;
  timings: Timings;
}

export interface CompletionChunk extends CompletionOf<FinishReason | null> {
  usage?: Usage | null;
}
