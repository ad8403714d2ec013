// Which model there is: found, planned, loaded, lost, and kept for the next visit.

import { computed, signal } from "@preact/signals";
import * as v from "valibot";
import * as wisp from "wisp-llm";
import type { Info, Memory, Progress, Quota, StoredModel, Support, WispEngine } from "wisp-llm";
import * as db from "./db";
import { asSentence, notify, sentence } from "./notices";
import { estimate, ranked, thisMachine } from "./needs";
import { firstIssue, type ModelEntry, ModelList } from "./schema";
import { confinedWorker } from "./worker";

/** Something that can be loaded. */
export interface Choice {
  name: string;
  source: { url: string; sha256?: string | undefined } | { files: readonly File[] } | { stored: StoredModel };
}

/** `details`: what the engine said, where that is no sentence for everybody. */
export type Failure = { kind: string; message: string; details?: string };

export type State =
  | { at: "none" }
  | { at: "loading"; choice: Choice; progress: Partial<Record<Progress["phase"], Progress>>; phase: Progress["phase"]; stop: AbortController }
  | { at: "ready"; choice: Choice; engine: WispEngine; info: Info; lost: boolean }
  | { at: "failed"; choice: Choice; failure: Failure; contextLength: number };

export const state = signal<State>({ at: "none" });
export const support = signal<Support | null>(null);
export const stored = signal<StoredModel[]>([]);
export const quota = signal<Quota | null>(null);
/** As models.json has them. */
const listed = signal<{ models: ModelEntry[]; local: ModelEntry[] }>({ models: [], local: [] });
/** Tokens of context to make room for. */
export const contextLength = signal(4096);
export const CONTEXTS = [512, 1024, 2048, 4096, 8192, 16_384, 32_768] as const;
/** To be told of a lost device while an answer is written. */
export const listeners = new Set<(event: "lost" | "restored") => void>();

/** What is offered for download, the best for this machine first. */
export const offered = computed(() => ranked(listed.value.models, contextLength.value, thisMachine(support.value)));
/** Models on the page's own host, for whoever runs it for themselves. */
export const local = computed(() => ranked(listed.value.local, contextLength.value, thisMachine(support.value)));

export const ready = computed(() => (state.value.at === "ready" ? state.value : null));
export const modelName = computed(() => (state.value.at === "none" ? null : state.value.choice.name));

/** Computed by the processor, not by a graphics card. */
export const software = computed(() => {
  const kind = ready.value?.info.adapter.kind.toLowerCase() ?? "";
  return kind.includes("cpu") || (support.value?.ok === true && support.value.adapter.software);
});

const Last = v.object({ name: v.string(), url: v.string(), contextLength: v.number() });

/** What is offered, what is kept, and the model of the last visit if it is still here. */
export async function start(): Promise<void> {
  const [found] = await Promise.all([wisp.checkSupport(), readOffered(), refresh()]);
  support.value = found;
  const last = v.safeParse(Last, await db.getValue("model"));
  if (!last.success) return;
  contextLength.value = last.output.contextLength;
  const { name, url } = last.output;
  const same = stored.value.find((one) => one.complete && one.url === url && (url !== "" || one.name === name));
  if (same && found.ok) await load({ name, source: { stored: same } });
}

async function readOffered(): Promise<void> {
  try {
    const response = await fetch("models.json");
    if (!response.ok) throw new Error(`the host answered ${response.status}`);
    const parsed = v.safeParse(ModelList, await response.json());
    if (!parsed.success) throw new Error(firstIssue(parsed.issues));
    const absolute = (url: string) => new URL(url, document.baseURI).href;
    const { models, local = [] } = parsed.output;
    const all = (list: ModelEntry[]) => list.map((one) => ({ ...one, url: absolute(one.url) }));
    listed.value = { models: all(models), local: all(local.map((one) => described(one, models))) };
  } catch (error) {
    notify(`The list of models (models.json) can't be read. ${sentence(error)}`, { tone: "bad" });
  }
}

/** A model of the local store, with what the list knows of the same one. */
function described(local: ModelEntry, models: ModelEntry[]): ModelEntry {
  const known = models.find(({ id }) => local.id === `local-${id}`);
  return known ? { ...known, id: local.id, url: local.url, bytes: local.bytes } : local;
}

/** What is stored, and how much room there is. */
export async function refresh(): Promise<void> {
  // Without private storage (some private windows) there is nothing to list.
  const [models, room] = await Promise.allSettled([wisp.listModels(), wisp.quota()]);
  if (models.status === "fulfilled") stored.value = models.value;
  if (room.status === "fulfilled") quota.value = room.value;
}

export const offeredChoice = ({ name, url, sha256 }: ModelEntry): Choice => ({
  name,
  source: { url, sha256 },
});

export const findStored = (url: string): StoredModel | undefined =>
  stored.value.find((one) => one.url === url);

export async function deleteStored(model: StoredModel): Promise<void> {
  await wisp.deleteModel(model.id);
  await refresh();
}

const urlOf = ({ source }: Choice): string =>
  "url" in source ? source.url : "stored" in source ? source.stored.url : "";

export const isSame = (one: Choice, other: Choice): boolean =>
  urlOf(one) === urlOf(other) && (urlOf(one) !== "" || one.name === other.name);

const sourceOf = (choice: Choice) =>
  "url" in choice.source
    ? choice.source.url
    : "files" in choice.source
      ? onlyOne(choice.source.files)
      : choice.source.stored;

/** A split model is several files. */
const onlyOne = (files: readonly File[]): File | readonly File[] => (files.length === 1 && files[0]) || files;

/** What a person picked or dropped: one file, or all of a split model. */
export function filesChoice(files: readonly File[]): Choice {
  const name = (files[0]?.name ?? "").replace(/(-\d{5}-of-\d{5})?\.gguf$/i, "");
  return { name, source: { files } };
}

/** The host that would have to be asked what a model needs; null where it can be read here. */
export function askedHost({ source }: Choice): string | null {
  if (!("url" in source) || findStored(source.url)?.complete) return null;
  const { origin, host } = new URL(source.url, document.baseURI);
  return origin === location.origin ? null : host;
}

/** About what a model of the list needs, in bytes. */
export function roughly(choice: Choice, tokens: number): number | null {
  const entry = [...listed.value.models, ...listed.value.local].find((one) => one.url === urlOf(choice));
  return entry ? estimate(entry, tokens) : null;
}

/** Asked once for each model and context. */
const plans = new Map<string, Promise<Memory>>();

/** GPU memory that a model needs, by its header. Contacts [askedHost], so a person has to ask for it. */
export function plan(choice: Choice, tokens: number): Promise<Memory> {
  const url = urlOf(choice);
  const key = `${tokens} ${url}`;
  const known = url === "" ? undefined : plans.get(key);
  if (known) return known;
  planner ??= confinedWorker();
  const here = url === "" ? undefined : findStored(url);
  // What is here can be read without a network.
  const source = here?.complete ? here : sourceOf(choice);
  const found = wisp.planMemory(source, { contextLength: tokens, worker: planner });
  if (url !== "") {
    plans.set(key, found);
    // A host that could not be reached may be the next time.
    found.catch(() => plans.delete(key));
  }
  return found;
}

/** Made for the first plan; a load, before which one looks at plans, takes its memory back. */
let planner: Worker | null = null;
/** The engine's. It goes with the engine. */
let worker: Worker | null = null;

export async function load(choice: Choice): Promise<void> {
  await unload();
  planner?.terminate();
  planner = null;
  const stop = new AbortController();
  const mine = confinedWorker();
  worker = mine;
  state.value = { at: "loading", choice, progress: {}, phase: "download", stop };
  const tokens = contextLength.value;
  try {
    const sha256 = "url" in choice.source ? choice.source.sha256 : undefined;
    const engine = await wisp.load(sourceOf(choice), {
      worker: mine,
      cache: true,
      contextLength: tokens,
      name: choice.name,
      signal: stop.signal,
      ...(sha256 ? { sha256 } : {}),
      onProgress: (progress) => onProgress(stop, progress),
      onEvent,
    });
    const info = await engine.info();
    if (stop.signal.aborted) return;
    state.value = { at: "ready", choice, engine, info, lost: false };
    await db.putValue("model", { name: choice.name, url: urlOf(choice), contextLength: tokens });
  } catch (error) {
    mine.terminate();
    if (stop.signal.aborted) {
      if (isLoading(stop)) state.value = { at: "none" };
    } else {
      state.value = { at: "failed", choice, failure: toFailure(error), contextLength: tokens };
    }
  }
  await refresh();
}

const isLoading = (stop: AbortController): boolean =>
  state.value.at === "loading" && state.value.stop === stop;

function onProgress(stop: AbortController, progress: Progress): void {
  const now = state.value;
  if (now.at !== "loading" || now.stop !== stop) return;
  const known = { ...now.progress, [progress.phase]: progress };
  state.value = { ...now, progress: known, phase: progress.phase };
}

function onEvent(event: wisp.EngineEvent): void {
  if (event.type === "note") return notify(asSentence(event.text));
  const now = state.value;
  const lost = event.type === "device-lost";
  if (now.at === "ready") state.value = { ...now, lost };
  for (const listener of listeners) listener(lost ? "lost" : "restored");
}

export function toFailure(error: unknown): Failure {
  const kind = (error as { kind?: unknown } | null)?.kind;
  const message = sentence(error);
  const address = /https?:\/\/[^\s,;)]+/.exec(message)?.[0];
  if (kind === "network" && address !== undefined) {
    const host = hostOf(address);
    const what = host === location.host ? "This page’s host could not deliver the file" : `${host} could not be reached, or did not deliver the file`;
    return { kind, message: `${what}. Look at your network connection, then try again.`, details: message };
  }
  return { kind: typeof kind === "string" ? kind : "internal", message };
}

function hostOf(address: string): string {
  try {
    return new URL(address).host;
  } catch {
    return "The model’s host";
  }
}

/** Ends a load, or gives the GPU's memory back. */
export async function unload(): Promise<void> {
  const now = state.value;
  if (now.at === "loading") now.stop.abort();
  state.value = { at: "none" };
  if (now.at === "ready") await now.engine.unload().catch(() => undefined);
  worker?.terminate();
  worker = null;
}

/** The next smaller context, for where memory is short. */
export const smallerContext = (tokens: number): number | null =>
  [...CONTEXTS].reverse().find((one) => one <= tokens / 2) ?? null;
