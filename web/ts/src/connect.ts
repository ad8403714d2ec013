// Where the engine runs: in a worker of ours, a worker of yours, or here.

import { Client } from "./client.js";
import { WispError } from "./error.js";
import { VERSION, type Port } from "./protocol.js";

/** A worker that imports `wisp-llm/worker` answers as soon as its script has run. */
const HELLO_MS = 20_000;

/** The same, once the script has thrown. */
const AFTER_ERROR_MS = 3000;

export type Serve = (port: Port) => void;

let serveHere: Serve | undefined;

/** For where modules can't be imported later, in service workers: gives the host beforehand. */
export function provideHost(serve: Serve): void {
  serveHere = serve;
}

/** By default a worker in pages, and right here where we are off the page's thread already. */
export async function connect(where: boolean | Worker | undefined): Promise<Client> {
  if (typeof where === "object") return ownedByCaller(where);
  return (where ?? typeof document !== "undefined") ? ownWorker() : here();
}

function ownWorker(): Client {
  if (typeof Worker === "undefined") {
    throw new WispError("unsupported", "workers can't be started here: pass worker: false to load");
  }
  const asked = intercepted();
  const foreign = asked && new URL(asked.url, location.href).origin !== location.origin;
  const worker = foreign ? fromBlob(asked) : start();
  const client = new Client(worker, () => worker.terminate());
  worker.addEventListener("error", (event) => client.end(workerError(event)));
  return client;
}

/** In this form bundlers find the worker's script, and put its final address there. */
const start = () => new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "wisp-llm" });

interface Asked {
  url: string | URL;
  options: WorkerOptions | undefined;
}

/** What `start` asks for, without starting it: only so is the address known after bundling. */
function intercepted(): Asked | undefined {
  const original = globalThis.Worker;
  let asked: Asked | undefined;
  globalThis.Worker = class {
    constructor(url: string | URL, options?: WorkerOptions) {
      asked = { url, options };
    }
  } as unknown as typeof Worker;
  try {
    start();
  } finally {
    globalThis.Worker = original;
  }
  return asked;
}

/** Browsers start workers from the page's own site alone: one of ours that loads the script from elsewhere. */
function fromBlob({ url, options }: Asked): Worker {
  const address = JSON.stringify(new URL(url, location.href).href);
  const script = options?.type === "module" ? `import ${address};` : `importScripts(${address});`;
  const blob = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new Worker(blob, options);
  // The script is read by the time it says anything, or fails.
  const forget = () => URL.revokeObjectURL(blob);
  worker.addEventListener("message", forget, { once: true });
  worker.addEventListener("error", forget, { once: true });
  return worker;
}

async function ownedByCaller(worker: Worker): Promise<Client> {
  const client = new Client(worker, () => {});
  const controller = new AbortController();
  const fail = (why: unknown) => controller.abort(why);
  let timer = setTimeout(fail, HELLO_MS, deaf());
  const failed = (event: ErrorEvent) => {
    // Without a message the script can't be loaded. An error of the worker's other code is its own
    // concern, unless nothing answers after it.
    clearTimeout(timer);
    if (event.message) timer = setTimeout(fail, AFTER_ERROR_MS, workerError(event));
    else fail(workerError(event));
  };
  worker.addEventListener("error", failed);
  try {
    const version = await client.call("hello", {}, { signal: controller.signal });
    if (version === VERSION) return client;
    throw new WispError("input", "the worker given to load runs another version of wisp-llm: use one version for both");
  } catch (error) {
    client.end(error as WispError);
    throw error;
  } finally {
    clearTimeout(timer);
    worker.removeEventListener("error", failed);
  }
}

const deaf = () =>
  new WispError("input", 'the worker given to load doesn\'t answer: its script must import "wisp-llm/worker"');

async function here(): Promise<Client> {
  if (!serveHere && "ServiceWorkerGlobalScope" in globalThis) {
    throw new WispError("input", 'in a service worker, import { load } from "wisp-llm/service-worker"');
  }
  const serve = serveHere ?? (await import("./here.js")).serveHere;
  const { port1, port2 } = new MessageChannel();
  serve(port2);
  port1.start();
  port2.start();
  return new Client(port1, () => {
    port1.close();
    port2.close();
  });
}

function workerError(event: ErrorEvent): WispError {
  // A script that can't be fetched or is forbidden gives an event without a message.
  const what = event.message || "its script can't be loaded";
  return new WispError(
    "internal",
    `the engine's worker failed (${what}): see "Workers" and "Bundlers" in wisp-llm's README for what it needs`,
  );
}
