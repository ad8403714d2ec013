// Asking and answering: one answer is written at a time.

import { batch, signal } from "@preact/signals";
import type { ChatCompletionRequest, ChatMessage } from "wisp-llm";
import * as store from "./conversations";
import * as model from "./model";
import { notify, sentence } from "./notices";
import type { Conversation, Message, Settings } from "./schema";
import { begin, type Live, reduce, type StreamEvent, toMessage } from "./stream";

/** The answer that is being written, and where. */
export const live = signal<{ conversation: string; answer: Live } | null>(null);

/** How often what is written so far is kept, for when the page is closed. */
const KEEP_MS = 2000;

let stopper: AbortController | null = null;

export async function send(text: string): Promise<void> {
  const conversation = store.current.value ?? (await store.create(text));
  await answer(conversation.id, [...conversation.messages, { role: "user", text }]);
}

/** Takes the last answer back and writes another one. */
export async function regenerate(conversation: Conversation): Promise<void> {
  const last = conversation.messages.findLastIndex(({ role }) => role === "user");
  await answer(conversation.id, conversation.messages.slice(0, last + 1));
}

/** Goes on from a changed question; what came after it goes. */
export async function edit(conversation: Conversation, index: number, text: string): Promise<void> {
  const kept = store.before(conversation.messages, index);
  await answer(conversation.id, [...kept, { role: "user", text }]);
}

export function stop(): void {
  stopper?.abort();
}

async function answer(id: string, messages: Message[]): Promise<void> {
  if (!model.ready.value || live.value) return;
  const mine = await onlyHere(id, () => answerHere(id, messages));
  if (!mine) {
    notify("Another tab is answering in this conversation: wait for its end, or begin a new chat here.", { tone: "bad" });
  }
}

/** Does something of a conversation that one tab at a time may do; false if another tab does it. */
async function onlyHere(id: string, work: () => Promise<void>): Promise<boolean> {
  return navigator.locks.request(`wisp-answer-${id}`, { ifAvailable: true }, async (lock) => {
    if (lock) await work();
    return lock !== null;
  });
}

async function answerHere(id: string, messages: Message[]): Promise<void> {
  const engine = model.ready.value;
  if (!engine || live.value) return;
  stopper = new AbortController();
  const { signal: stopped } = stopper;
  const answering = new Answering(id);
  const onDevice = (event: "lost" | "restored") => answering.take({ type: event });
  model.listeners.add(onDevice);
  const trouble = new Trouble();
  try {
    await trouble.survive(store.change(id, { messages }));
    const conversation = store.conversations.value.find((one) => one.id === id);
    if (!conversation) return;
    const stream = await engine.engine.chat.completions.create(toRequest(conversation), { signal: stopped });
    let kept = performance.now();
    for await (const chunk of stream) {
      const at = performance.now();
      answering.take({ type: "chunk", chunk, at });
      if (at - kept < KEEP_MS) continue;
      kept = at;
      await trouble.survive(store.keep(id, [...messages, toMessage(answering.now, engine.choice.name)]));
    }
  } catch (error) {
    if (stopped.aborted) answering.take({ type: "stopped" });
    else answering.take({ type: "failed", ...model.toFailure(error) });
  } finally {
    model.listeners.delete(onDevice);
    answering.end();
    stopper = null;
    // At once, or the answer would be shown twice for a moment.
    await batch(() => {
      live.value = null;
      return trouble.survive(
        store.change(id, { messages: [...messages, toMessage(answering.now, engine.choice.name)] }),
      );
    });
  }
}

/** The browser's storage may be full or gone. The answer goes on; that it is not kept is said once. */
class Trouble {
  private told = false;

  async survive(writing: Promise<void>): Promise<void> {
    try {
      await writing;
    } catch (error) {
      if (!this.told) {
        notify(`This conversation could not be stored and will be gone with the tab. ${sentence(error)}`, { tone: "bad" });
      }
      this.told = true;
    }
  }
}

/** Shows what arrives once a frame at most, however fast it comes. */
class Answering {
  now = begin(performance.now());
  private frame = 0;

  constructor(private readonly conversation: string) {
    this.show();
  }

  take(event: StreamEvent): void {
    this.now = reduce(this.now, event);
    this.frame ||= requestAnimationFrame(() => this.show());
  }

  private show(): void {
    this.frame = 0;
    live.value = { conversation: this.conversation, answer: this.now };
  }

  end(): void {
    cancelAnimationFrame(this.frame);
  }
}

export function toRequest(conversation: Conversation): ChatCompletionRequest & { stream: true } {
  const system = conversation.system.trim();
  const first: ChatMessage[] = system ? [{ role: "system", content: system }] : [];
  return {
    messages: [...first, ...inTurns(conversation.messages)],
    stream: true,
    stream_options: { include_usage: true },
    ...toSampling(conversation.settings),
  };
}

/**
 * User and assistant in turns, as many templates demand. An answer that was broken off before its
 * first word says nothing: the questions before and after it become one.
 */
function inTurns(messages: Message[]): ChatMessage[] {
  const turns: { role: Message["role"]; content: string }[] = [];
  for (const { role, text } of messages) {
    const last = turns.at(-1);
    if (role === "assistant" && text === "") continue;
    if (last?.role === role) last.content += `\n\n${text}`;
    else turns.push({ role, content: text });
  }
  return turns;
}

function toSampling(settings: Settings) {
  return {
    temperature: settings.temperature,
    top_p: settings.topP,
    top_k: settings.topK,
    min_p: settings.minP,
    repetition_penalty: settings.repetitionPenalty,
    presence_penalty: settings.presencePenalty,
    frequency_penalty: settings.frequencyPenalty,
    max_tokens: settings.maxTokens,
    seed: settings.seed,
  };
}
