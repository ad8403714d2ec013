// Where the engine runs: in a worker of ours, a worker of yours, or here.

import { Client } from "./client.js";
import { WispError } from "./error.js";
import { VERSION, type Port } from "./protocol.js";

/** A worker that imports `wisp-llm/worker` answers as soon as its script has run. */
const HELLO_MS = 20_000;

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
  // In this form bundlers find the worker's script.
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "wisp-llm" });
  const client = new Client(worker, () => worker.terminate());
  worker.addEventListener("error", (event) => client.end(workerError(event)));
  return client;
}

async function ownedByCaller(worker: Worker): Promise<Client> {
  const client = new Client(worker, () => {});
  worker.addEventListener("error", (event) => client.end(workerError(event)));
  const version = await client.call("hello", {}, { signal: AbortSignal.timeout(HELLO_MS) }).catch((error: unknown) => {
    if (error instanceof WispError) throw error;
    throw new WispError("input", 'the worker given to load doesn\'t answer: its script must import "wisp-llm/worker"');
  });
  if (version !== VERSION) {
    throw new WispError("input", "the worker given to load runs another version of wisp-llm: use one version for both");
  }
  return client;
}

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
    `the engine's worker failed (${what}): serve wisp-llm's files with the page, see "Bundlers" in its README`,
  );
}
