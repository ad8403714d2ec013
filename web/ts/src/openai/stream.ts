import { WispError } from "../error.js";
import type { Stream } from "../types.js";

/** A stream, and what fills it. */
export interface Filling<T> {
  stream: Stream<T>;
  push(chunk: T): void;
  end(): void;
  fail(error: unknown): void;
}

/** Chunks that come when they come, to be read with `for await`. No class: it may be proxied. */
export function openStream<T>(): Filling<T> {
  const controller = new AbortController();
  const waiting: T[] = [];
  let ended: { error?: unknown } | undefined;
  let taken = false;
  let wake = () => {};

  async function* chunks(): AsyncGenerator<T, void, void> {
    try {
      for (;;) {
        while (waiting.length > 0) yield waiting.shift()!;
        if (ended && "error" in ended) throw ended.error;
        if (ended) return;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      // Whoever leaves early wants no more.
      if (!ended) controller.abort();
    }
  }
  const finish = (how: { error?: unknown }) => {
    ended = how;
    wake();
  };
  const stream: Stream<T> = {
    controller,
    [Symbol.asyncIterator]() {
      if (taken) throw new WispError("input", "this stream is read already: only one loop can read it, once");
      taken = true;
      return chunks();
    },
  };
  return {
    stream,
    push: (chunk) => {
      waiting.push(chunk);
      wake();
    },
    end: () => finish({}),
    fail: (error) => finish({ error }),
  };
}
