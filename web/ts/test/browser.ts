// What a browser has and Node does not: a private file system and locks, in memory.

import { vi } from "vitest";

class MemoryFile {
  readonly kind = "file";
  bytes = new Uint8Array();
  date = Date.now();

  async getFile(): Promise<File> {
    return new File([this.bytes], "file", { lastModified: this.date });
  }

  async createWritable() {
    let written = new Uint8Array();
    return {
      write: async (bytes: Uint8Array<ArrayBuffer>) => void (written = bytes.slice()),
      abort: async () => {},
      close: async () => {
        if (browser.full) throw new DOMException("the quota has been exceeded", "QuotaExceededError");
        this.bytes = written;
        this.date = Date.now();
      },
    };
  }
}

export class MemoryFolder {
  readonly kind = "directory";
  readonly children = new Map<string, MemoryFile | MemoryFolder>();
  /** Removed: who still has it can do nothing with it. */
  gone = false;

  async getDirectoryHandle(name: string, { create = false } = {}): Promise<MemoryFolder> {
    return this.#get(name, create && new MemoryFolder()) as MemoryFolder;
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<MemoryFile> {
    return this.#get(name, create && new MemoryFile()) as MemoryFile;
  }

  async removeEntry(name: string): Promise<void> {
    const removed = this.#get(name, false);
    if (removed instanceof MemoryFolder) removed.remove();
    this.children.delete(name);
  }

  remove(): void {
    this.gone = true;
    for (const child of this.children.values()) if (child instanceof MemoryFolder) child.remove();
  }

  async *keys() {
    this.#check();
    yield* [...this.children.keys()];
  }

  async *entries() {
    this.#check();
    yield* [...this.children.entries()];
  }

  #check(): void {
    if (this.gone) throw new DOMException("the folder is not there", "NotFoundError");
  }

  #get(name: string, fresh: MemoryFile | MemoryFolder | false) {
    this.#check();
    const found = this.children.get(name) ?? fresh;
    if (!found) throw new DOMException(`${name} is not there`, "NotFoundError");
    this.children.set(name, found);
    return found;
  }
}

interface Wish {
  mode: "shared" | "exclusive";
  ifAvailable?: boolean;
}

type Holder = (lock: object | null) => unknown;

class Locks {
  readonly #held = new Map<string, Wish[]>();
  readonly #queue: { name: string; wish: Wish; start(): void }[] = [];

  request(name: string, wish: Wish, holder: Holder): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const start = () => {
        this.#held.set(name, [...(this.#held.get(name) ?? []), wish]);
        const release = () => {
          this.#held.set(name, this.#held.get(name)!.filter((other) => other !== wish));
          this.#next();
        };
        Promise.resolve(holder({})).finally(release).then(resolve, reject);
      };
      if (this.#free(name, wish)) start();
      else if (wish.ifAvailable) Promise.resolve(holder(null)).then(resolve, reject);
      else this.#queue.push({ name, wish, start });
    });
  }

  #free(name: string, wish: Wish): boolean {
    const held = this.#held.get(name) ?? [];
    return held.length === 0 || (wish.mode === "shared" && held.every((other) => other.mode === "shared"));
  }

  #next(): void {
    const index = this.#queue.findIndex(({ name, wish }) => this.#free(name, wish));
    if (index >= 0) this.#queue.splice(index, 1)[0]!.start();
  }
}

/** The browser's state, new for each test. */
export const browser = { root: new MemoryFolder(), quota: 1e9, full: false };

/** `storage: false` for a private window. */
export function stubBrowser({ storage = true } = {}): void {
  Object.assign(browser, { root: new MemoryFolder(), quota: 1e9, full: false });
  vi.stubGlobal("navigator", {
    userAgent: "one version",
    locks: new Locks(),
    storage: {
      getDirectory: async () => {
        if (!storage) throw new DOMException("not here", "SecurityError");
        return browser.root;
      },
      estimate: async () => ({ usage: 0, quota: browser.quota }),
      persisted: async () => false,
    },
  });
}

/** What a person does in the browser's settings. */
export function clearSiteData(): void {
  browser.root.remove();
  browser.root = new MemoryFolder();
}

/** Our folder. */
export function stored(): MemoryFolder {
  return browser.root.children.get("wisp-llm") as MemoryFolder;
}

/** The only model in it. */
export function onlyEntry(): MemoryFolder {
  return [...stored().children.values()][0] as MemoryFolder;
}

export function file(folder: MemoryFolder, name: string): MemoryFile {
  return folder.children.get(name) as MemoryFile;
}
