// A split model (`…-00001-of-00003.gguf`): several files that are read as one, each behind the
// one before. Wasm finds in their headers where each begins.

import { WispError } from "../error.js";
import { probe, range, type OnBytes, type RemoteFile } from "./http.js";

const NAME = /-(\d{5})-of-(\d{5})(\.gguf)$/;

/** The addresses of all files of the split model that `url` is a file of; else `undefined`. */
export function splitUrls(url: string): string[] | undefined {
  const address = new URL(url);
  const [, number, count] = NAME.exec(address.pathname) ?? [];
  const files = Number(count);
  if (!(files > 1) || Number(number) < 1 || Number(number) > files) return undefined;
  return Array.from({ length: files }, (_, at) => {
    const own = new URL(url);
    own.pathname = address.pathname.replace(NAME, `-${String(at + 1).padStart(5, "0")}-of-${count}$3`);
    return own.href;
  });
}

export interface Joined {
  size: number;
  tag: string;
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** The files behind these addresses, one behind the other. */
export async function joined(urls: string[], signal: AbortSignal, onBytes: OnBytes): Promise<Joined> {
  const files: (RemoteFile & { size: number })[] = [];
  for (const url of urls) {
    const file = await probe(url, signal);
    if (!file.ranges || file.size === undefined) {
      throw new WispError(
        "network",
        `${url} is one of ${urls.length} files of a model, which need a server that gives parts of them (HTTP ranges): download them, and load them together as Files`,
      );
    }
    files.push({ ...file, size: file.size });
  }
  const read = async (offset: number, length: number) => {
    const out = new Uint8Array(length);
    let start = 0;
    const parts = files.map(async (file, at) => {
      const begin = start;
      start += files[at]!.size;
      const from = Math.max(offset, begin);
      const to = Math.min(offset + length, begin + file.size);
      if (from < to) out.set(await range(file, from - begin, to - from, signal, onBytes), from - offset);
    });
    await Promise.all(parts);
    return out;
  };
  const tags = files.map((file) => file.tag);
  // Without one of them it isn't sure that all are as they were.
  return { size: files.reduce((sum, file) => sum + file.size, 0), tag: tags.every(Boolean) ? tags.join(" ") : "", read };
}

/** Files that a person has picked, in the order of a split model. */
export function joinedFiles(files: readonly Blob[]): { blob: Blob; name: string } {
  const nameOf = (file: Blob) => (file instanceof File ? file.name : "");
  const sorted = [...files].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0));
  const name = nameOf(sorted[0]!) || "the given Blobs";
  const dates = sorted.map((file) => (file instanceof File ? file.lastModified : 0));
  // Nothing is copied: it stands for the files.
  return { blob: new File(sorted, name, { lastModified: Math.max(...dates) }), name };
}
