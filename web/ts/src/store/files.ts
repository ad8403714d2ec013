// The browser's private file system (OPFS), as far as it is needed: small files, read and written whole.

/** Only in dedicated workers; TypeScript knows it from the library for workers alone. */
interface SyncFile {
  truncate(size: number): void;
  write(bytes: Uint8Array): number;
  flush(): void;
  close(): void;
}

type FileHandle = FileSystemFileHandle & {
  createSyncAccessHandle?(): Promise<SyncFile>;
  move?(name: string): Promise<void>;
};

export type Folder = FileSystemDirectoryHandle;

/** Our folder; `undefined` where the browser has none for us (private windows, some embedded ones). */
export async function openRoot(): Promise<Folder | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    return await root.getDirectoryHandle("wisp-llm", { create: true });
  } catch {
    return undefined;
  }
}

/** A file's contents, or `undefined` where there is none, or no folder any more. */
export async function readFile(folder: Folder, name: string): Promise<File | undefined> {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** A file's text, and when it was written; `undefined` where there is none. Another tab may replace it meanwhile. */
export async function readText(folder: Folder, name: string): Promise<{ text: string; date: number } | undefined> {
  for (let tries = 5; ; tries--) {
    try {
      const file = await readFile(folder, name);
      return file && { text: await file.text(), date: file.lastModified };
    } catch (error) {
      if (tries === 1 || !(error instanceof DOMException && error.name === "NotReadableError")) throw error;
    }
  }
}

/** Through a sync access handle in a worker: fast, but a crash may leave half of it. */
export async function writeFile(folder: Folder, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const handle: FileHandle = await folder.getFileHandle(name, { create: true });
  if (!handle.createSyncAccessHandle) return writeWhole(handle, bytes);
  const file = await handle.createSyncAccessHandle();
  try {
    file.truncate(0);
    if (file.write(bytes) !== bytes.length) throw new DOMException("the disk is full", "QuotaExceededError");
    file.flush();
  } finally {
    file.close();
  }
}

/** All of it or nothing, whenever a crash comes. */
export async function writeFileAtomically(folder: Folder, name: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  const handle: FileHandle = await folder.getFileHandle(name, { create: true });
  // A writable stream writes to a copy, which takes the file's place when it is closed.
  if ("createWritable" in handle) return writeWhole(handle, bytes);
  await writeFile(folder, `${name}.new`, bytes);
  await ((await folder.getFileHandle(`${name}.new`)) as FileHandle).move?.(name);
}

export async function removeEntry(folder: Folder, name: string): Promise<void> {
  try {
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function writeWhole(handle: FileHandle, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const stream = await handle.createWritable();
  try {
    await stream.write(bytes);
  } catch (error) {
    await stream.abort();
    throw error;
  }
  await stream.close();
}

export function isNotFound(error: unknown): boolean {
  return error instanceof DOMException && error.name === "NotFoundError";
}
