// The package as `wisp`, and what the tests often need.

import * as wisp from "/pkg/index.js";

const longTasks = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longTasks.push(duration);
}).observe({ type: "longtask" });

/** Continues a prompt with the likeliest tokens. */
async function greedy(engine, prompt, max_tokens, options) {
  const answer = await engine.completions.create({ prompt, max_tokens, temperature: 0 }, options);
  return { text: answer.choices[0].text, tokens: answer.usage.completion_tokens, timings: answer.timings };
}

/** The same as a stream. */
async function streamed(engine, prompt, max_tokens, options, onText = () => {}) {
  let text = "";
  const body = { prompt, max_tokens, temperature: 0, stream: true };
  for await (const chunk of await engine.completions.create(body, options)) {
    text += chunk.choices[0].text;
    onText(text);
  }
  return text;
}

/** What a promise rejects with, as plain data. */
async function failure(promise) {
  try {
    await promise;
  } catch ({ name, kind, message }) {
    return { name, kind, message };
  }
  return undefined;
}

/** Here, since the tests' own tools would rewrite an import of theirs. */
const runModule = (path) => import(path);

const testing = (engine) => engine[Symbol.for("wisp-llm.testing")];

/** Names of all that is stored for models, listed or not. */
async function storedFolders() {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("wisp-llm", { create: true });
  const names = [];
  for await (const [name, { kind }] of root.entries()) if (kind === "directory") names.push(name);
  return names;
}

/** Waits until something is so. */
async function until(what, ms = 60_000) {
  for (const end = performance.now() + ms; !(await what()); ) {
    if (performance.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

Object.assign(globalThis, { wisp, longTasks, greedy, streamed, failure, runModule, testing, storedFolders, until, ready: true });
