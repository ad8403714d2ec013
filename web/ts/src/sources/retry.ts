// Trying again, after a while that doubles.

export interface Retry {
  /** Attempts in a row without progress. */
  tries: number;
  /** Milliseconds before the second one. */
  wait: number;
}

export const RETRY: Retry = { tries: 6, wait: 400 };

/** For a first contact: who mistyped an address should soon hear of it. */
export const RETRY_FIRST: Retry = { tries: 3, wait: 300 };

/** An error that may pass: a broken connection, a busy server. */
export class Passing extends Error {
  constructor(readonly error: Error) {
    super(error.message);
  }
}

/**
 * Calls `attempt` until it does not throw `Passing`. `progress` counts what was reached so far;
 * an attempt that moved it starts the count of tries anew.
 */
export async function retrying<T>(
  retry: Retry,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    const before = progress();
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Passing)) throw error;
      if (progress() > before) tried = 1;
      else if (tried >= retry.tries) throw error.error;
      // A little randomness, so that parallel requests don't come back all at once.
      await sleep(retry.wait * 2 ** (tried - 1) * (0.75 + Math.random() / 2), signal);
    }
  }
}

export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => (clearTimeout(timer), reject(signal.reason));
    const timer = setTimeout(() => (signal.removeEventListener("abort", abort), resolve()), ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}
