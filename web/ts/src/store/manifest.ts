// What is known of a stored model: its source, its size, and each chunk's SHA-256.

import { CHUNK, chunkCount } from "../sources/chunks.js";

export interface Manifest {
  version: 1;
  name: string;
  /** Empty for what did not come from a URL. */
  url: string;
  size: number;
  /** The server's, see `RemoteFile`. */
  tag: string;
  /** Bytes of a chunk. */
  chunk: number;
  /** In hex; `null` for a chunk that isn't here. */
  hashes: (string | null)[];
  /** Of the whole file, once it was checked. */
  sha256?: string;
  /** To be deleted when it is no longer in use. */
  temporary?: boolean;
}

/** What a manifest begins with. The size is 0 for what comes in order until its end is reached. */
export type Facts = Pick<Manifest, "name" | "url" | "size" | "tag">;

export function newManifest(of: Facts): Manifest {
  return { version: 1, ...of, chunk: CHUNK, hashes: Array<null>(chunkCount(of.size)).fill(null) };
}

/** `undefined` for what this version can't use: the model is fetched anew then. */
export function parseManifest(text: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(text) as Manifest;
    const sound =
      manifest.version === 1 &&
      manifest.chunk === CHUNK &&
      typeof manifest.name === "string" &&
      typeof manifest.url === "string" &&
      typeof manifest.tag === "string" &&
      Number.isSafeInteger(manifest.size) &&
      Array.isArray(manifest.hashes) &&
      manifest.hashes.length === chunkCount(manifest.size) &&
      manifest.hashes.every((hash) => hash === null || /^[0-9a-f]{64}$/.test(hash));
    return sound ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a manifest is sound, but of another version of this package. */
export function isOfOtherVersion(text: string): boolean {
  try {
    const { version } = JSON.parse(text) as { version?: unknown };
    return typeof version === "number" && version !== 1;
  } catch {
    return false;
  }
}

export function isComplete(manifest: Manifest): boolean {
  return manifest.size > 0 && !manifest.hashes.includes(null);
}

/** SHA-256 in hex. */
export async function digest(bytes: BufferSource): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The folder's name, made of what identifies a model: its URL, or a file's name, size and date. */
export async function idOf(key: string): Promise<string> {
  return (await digest(new TextEncoder().encode(key))).slice(0, 32);
}
