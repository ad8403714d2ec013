// What pages/main.js puts into the page.

import type * as Wisp from "../../ts/src/index.js";
import type { Testing } from "../../ts/src/engine.js";

interface Answer {
  text: string;
  tokens: number;
  timings: Wisp.Timings;
}

declare global {
  var wisp: typeof Wisp;
  var longTasks: number[];
  function greedy(engine: Wisp.WispEngine, prompt: string, tokens: number, options?: Wisp.CallOptions): Promise<Answer>;
  function streamed(
    engine: Wisp.WispEngine,
    prompt: string,
    tokens: number,
    options?: Wisp.CallOptions,
    onText?: (text: string) => void,
  ): Promise<string>;
  function failure(promise: Promise<unknown>): Promise<{ name: string; kind?: string; message: string } | undefined>;
  function runModule(path: string): Promise<unknown>;
  function storedFolders(): Promise<string[]>;
  function until(what: () => unknown, ms?: number): Promise<void>;
  function testing(engine: Wisp.WispEngine): Testing;
  /** Kept by a test for its next steps. */
  var engine: Wisp.WispEngine;
}
