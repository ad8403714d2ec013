// How far a download is, and how fast.

import type { Progress } from "../types.js";

/** Reports come at most so often: a page need not draw more. */
const REPORT_MS = 100;

/** The speed is that of the last few seconds. */
const WINDOW_MS = 3000;

export class Meter {
  readonly #report: (progress: Progress) => void;
  readonly #samples: { at: number; loaded: number }[] = [];
  #loaded = 0;
  #total = 0;
  /** Nothing is said of bytes that aren't a download: of a file that is read where it lies. */
  #reported = Infinity;

  constructor(report: (progress: Progress) => void) {
    this.#report = report;
  }

  /** `loaded` bytes were there before. */
  start(loaded: number, total: number): void {
    this.#loaded = loaded;
    this.#total = total;
    this.#samples.length = 0;
    this.#send(performance.now());
  }

  readonly add = (bytes: number): void => {
    this.#loaded += bytes;
    const now = performance.now();
    if (now - this.#reported >= REPORT_MS || this.#loaded === this.#total) this.#send(now);
  };

  /** Tells why nothing comes. */
  say(text: string): void {
    this.#report({ phase: "download", loaded: this.#loaded, total: this.#total, text });
  }

  #send(now: number): void {
    this.#reported = now;
    const samples = this.#samples;
    samples.push({ at: now, loaded: this.#loaded });
    while (samples.length > 2 && now - samples[0]!.at > WINDOW_MS) samples.shift();
    const first = samples[0]!;
    const seconds = (now - first.at) / 1000;
    const speed = seconds > 0 ? { bytesPerSecond: (this.#loaded - first.loaded) / seconds } : {};
    this.#report({ phase: "download", loaded: this.#loaded, total: this.#total, ...speed });
  }
}
