/** Things that come fast are passed on together, so that a page has few messages to handle. */
export class Batch<T> {
  readonly #send: (items: T[]) => void;
  #items: T[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (items: T[]) => void) {
    this.#send = send;
  }

  /** The first thing after a while goes at once; others within a frame of it wait. */
  push(item: T): void {
    this.#items.push(item);
    if (this.#timer === undefined) this.flush();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#items.length === 0) return;
    this.#send(this.#items);
    this.#items = [];
    this.#timer = setTimeout(() => this.flush(), 16);
  }
}
