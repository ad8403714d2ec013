// Locks between tabs and workers of this site. They end with their holder, however it ends.

export interface LockWish {
  mode: "shared" | "exclusive";
  /** Give `undefined` where it can't be had at once. */
  ifAvailable?: boolean;
  signal?: AbortSignal;
}

export type Release = () => void;

/** Waits for a lock, and gives what releases it. */
export function hold(name: string, wish: LockWish): Promise<Release | undefined> {
  // Absent where WebGPU is absent too, and in tests.
  const locks = globalThis.navigator?.locks as LockManager | undefined;
  if (!locks) return Promise.resolve(() => {});
  return new Promise((resolve, reject) => {
    locks
      .request(name, wish, (lock) => {
        if (!lock) return resolve(undefined);
        return new Promise<void>((release) => resolve(release));
      })
      .catch(reject);
  });
}

/** Held, shared, by who uses an entry; exclusively by who deletes it. */
export const useLock = (id: string) => `wisp-llm/use/${id}`;

/** Held by the one who writes to an entry. */
export const writeLock = (id: string) => `wisp-llm/write/${id}`;
