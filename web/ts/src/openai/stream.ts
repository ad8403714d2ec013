import type { Stream } from "../types.js";

/** Chunks that come when they come, to be read with `for await`. */
export class Chunks<T> implements Stream<T> {
  readonly controller = new AbortController();
  readonly #waiting: T[] = [];
  #ended: { error?: unknown } | undefined;
  #wake = () => {};

  push(chunk: T): void {
    this.#waiting.push(chunk);
    this.#wake();
  }

  end(): void {
    this.#ended = {};
    this.#wake();
  }

  fail(error: unknown): void {
    this.#ended = { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    try {
      for (;;) {
        while (this.#waiting.length > 0) yield this.#waiting.shift()!;
        if (this.#ended && "error" in this.#ended) throw this.#ended.error;
        if (this.#ended) return;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      // Whoever leaves early wants no more.
      this.controller.abort();
    }
  }
}
