// All conversations, in memory as signals and in IndexedDB.

import { computed, signal } from "@preact/signals";
import * as v from "valibot";
import * as db from "./db";
import { Conversation, DEFAULTS, type Message, parseExport, Settings, toExport } from "./schema";

/** Newest first. */
export const conversations = signal<Conversation[]>([]);
export const currentId = signal<string | null>(null);
export const current = computed(
  () => conversations.value.find(({ id }) => id === currentId.value) ?? null,
);
/** With what a new conversation begins: what was last chosen. */
export const defaults = signal({ settings: DEFAULTS, system: "" });

const Defaults = v.object({ settings: Settings, system: v.string() });

/** Says to other tabs of this page that something was written. */
const tabs = new BroadcastChannel("wisp-conversations");
const told = () => tabs.postMessage("written");

/** Those with an answer that is being written here: the stored one lags behind. */
const writing = new Set<string>();

async function read(): Promise<void> {
  const stored = await db.allConversations();
  const ours = (id: string) => (writing.has(id) ? conversations.value.find((one) => one.id === id) : undefined);
  conversations.value = stored.filter((one) => v.is(Conversation, one)).map((one) => ours(one.id) ?? one);
}

export async function open(): Promise<void> {
  await read();
  // If it can't be read, what is shown stays.
  tabs.onmessage = () => void read().catch(() => undefined);
  const kept = v.safeParse(Defaults, await db.getValue("defaults"));
  if (kept.success) defaults.value = kept.output;
  const id = await db.getValue("current");
  if (conversations.value.some((one) => one.id === id)) currentId.value = id as string;
}

export async function select(id: string | null): Promise<void> {
  currentId.value = id;
  await db.putValue("current", id);
}

export async function create(first: string): Promise<Conversation> {
  const now = Date.now();
  const conversation: Conversation = {
    id: crypto.randomUUID(),
    title: titleOf(first),
    created: now,
    updated: now,
    system: defaults.value.system,
    settings: defaults.value.settings,
    messages: [],
  };
  conversations.value = [conversation, ...conversations.value];
  // Storage may be full or gone: it is here all the same, and the next change says so.
  await Promise.allSettled([put(conversation), select(conversation.id)]);
  return conversation;
}

async function put(conversation: Conversation): Promise<void> {
  await db.putConversation(conversation);
  told();
}

/** Changes one conversation; a change of its messages moves it to the top. */
export async function change(id: string, part: Partial<Omit<Conversation, "id">>): Promise<void> {
  const before = conversations.value.find((one) => one.id === id);
  if (!before) return;
  const after = { ...before, ...part };
  if (part.messages) after.updated = Date.now();
  if (part.messages) writing.delete(id);
  const others = conversations.value.filter((one) => one.id !== id);
  conversations.value = part.messages
    ? [after, ...others]
    : conversations.value.map((one) => (one.id === id ? after : one));
  await put(after);
}

/** Keeps messages that are still being written, where a closed page finds them again. */
export async function keep(id: string, messages: Message[]): Promise<void> {
  const one = conversations.value.find((each) => each.id === id);
  writing.add(id);
  if (one) await db.putConversation({ ...one, messages });
}

/** Sets how to answer, here and in conversations to come. */
export async function configure(part: { settings?: Settings; system?: string }): Promise<void> {
  defaults.value = { ...defaults.value, ...part };
  if (currentId.value) await change(currentId.value, part);
  await db.putValue("defaults", defaults.value);
}

/** Gives a function that brings it back. */
export async function remove(id: string): Promise<() => Promise<void>> {
  const gone = conversations.value.find((one) => one.id === id);
  conversations.value = conversations.value.filter((one) => one.id !== id);
  if (currentId.value === id) await select(null);
  await db.removeConversation(id);
  told();
  return async () => {
    if (gone) await insert(gone);
  };
}

async function insert(conversation: Conversation): Promise<void> {
  const all = [conversation, ...conversations.value.filter(({ id }) => id !== conversation.id)];
  conversations.value = all.sort((a, b) => b.updated - a.updated);
  await put(conversation);
}

export const exportText = (ids?: string[]): string =>
  toExport(conversations.value.filter(({ id }) => ids?.includes(id) ?? true));

/** Adds what is not here yet. Nothing is overwritten: a changed twin comes in as a copy. */
export async function importText(json: string): Promise<{ added: number; same: number }> {
  const found = parseExport(json);
  let same = 0;
  for (const one of found) {
    const twin = conversations.value.find(({ id }) => id === one.id);
    if (twin && JSON.stringify(twin.messages) === JSON.stringify(one.messages)) same += 1;
    else await insert(twin ? { ...one, id: crypto.randomUUID() } : one);
  }
  return { added: found.length - same, same };
}

/** The beginning of the first message, at a word's end. */
export function titleOf(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  if (line.length <= 60) return line || "New chat";
  const cut = line.slice(0, 60);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), 40))}…`;
}

/** The messages before one that is edited or answered again. */
export const before = (messages: Message[], index: number): Message[] => messages.slice(0, index);
