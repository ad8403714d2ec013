// What is stored: listing, deleting, and how much room there is.

import { WispError } from "../error.js";
import type { Quota, StoredModel } from "../types.js";
import { MANIFEST, storedBytes, USED } from "./entry.js";
import { isNotFound, openRoot, readFile, readText, removeEntry, type Folder } from "./files.js";
import { hold, useLock } from "./locks.js";
import { isComplete, isOfOtherVersion, parseManifest } from "./manifest.js";

/** The models in this browser's private storage, those used last first. */
export async function listModels(): Promise<StoredModel[]> {
  const root = await openRoot();
  if (!root) return [];
  const models: StoredModel[] = [];
  for await (const [id, folder] of root.entries()) {
    if (folder.kind !== "directory") continue;
    const model = await describe(id, folder as Folder);
    if (model) models.push(model);
  }
  return models.sort((a, b) => b.lastUsed - a.lastUsed);
}

/** Deletes a stored model. Unload it first, in every tab. */
export async function deleteModel(id: string): Promise<void> {
  await deleteUnused(id, async () => true);
}

/** Where `wanted`, asked when nobody uses it, says so. */
async function deleteUnused(id: string, wanted: (folder: Folder) => Promise<boolean>): Promise<void> {
  const root = await openRoot();
  if (!root) return;
  const release = await hold(useLock(id), { mode: "exclusive", ifAvailable: true });
  if (!release) {
    throw new WispError("storage", "this model is in use: unload it, in every tab that has it, then delete it");
  }
  try {
    if (await wanted(await root.getDirectoryHandle(id))) await removeEntry(root, id);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  } finally {
    release();
  }
}

/** How much this site has stored, and how much more it may. */
export async function quota(): Promise<Quota> {
  await sweep();
  const storage = globalThis.navigator?.storage as StorageManager | undefined;
  const { usage = 0, quota: most = 0 } = (await storage?.estimate()) ?? {};
  const persistent = (await storage?.persisted()) ?? false;
  return { usage, available: Math.max(0, most - usage), persistent };
}

/** Refuses a download that has no room. */
export async function checkRoom(name: string, bytes: number): Promise<void> {
  const { available } = await quota();
  if (bytes <= available) return;
  throw new WispError(
    "storage",
    `${name} needs ${megabytes(bytes)} more, but the browser gives this site only ${megabytes(available)}: delete stored models, free disk space, or load it with cache: false`,
  );
}

/** Deletes what closed tabs left behind that nothing can go on with; of tabs that are open, nothing. */
export async function sweep(): Promise<void> {
  const root = await openRoot();
  if (!root) return;
  try {
    for await (const [id, folder] of root.entries()) {
      if (folder.kind === "directory" && (await isLeftOver(folder as Folder))) await deleteUnused(id, isLeftOver).catch(() => {});
    }
  } catch {
    // It only takes room.
  }
}

/** A model that was not meant to stay, a stream that did not reach its end, chunks without a manifest. */
async function isLeftOver(folder: Folder): Promise<boolean> {
  const text = (await readText(folder, MANIFEST))?.text;
  if (!text) return true;
  const manifest = parseManifest(text);
  // Another version's is not ours to judge.
  return manifest ? manifest.temporary === true || manifest.size === 0 : !isOfOtherVersion(text);
}

async function describe(id: string, folder: Folder): Promise<StoredModel | undefined> {
  const file = await readText(folder, MANIFEST);
  const manifest = file && parseManifest(file.text);
  if (!manifest || manifest.temporary) return undefined;
  const used = await readFile(folder, USED);
  return {
    id,
    name: manifest.name,
    url: manifest.url,
    size: manifest.size,
    stored: storedBytes(manifest),
    complete: isComplete(manifest),
    lastUsed: used?.lastModified ?? file.date,
  };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
