// The engine's worker, under the page's own content-security policy.
//
// A worker that is started from an address gets the policy of that address's response headers,
// of which a host of static files has none: it could contact anybody. One that is started from a
// blob inherits the policy of the page. So: a blob that imports the package's worker.

import workerUrl from "wisp-llm/worker?worker&url";

export function confinedWorker(): Worker {
  const address = new URL(workerUrl, document.baseURI).href;
  const source = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
  const url = URL.createObjectURL(source);
  const worker = new Worker(url, { type: "module", name: "wisp" });
  // The worker's script is read by the time it says anything, or fails.
  const forget = () => URL.revokeObjectURL(url);
  worker.addEventListener("message", forget, { once: true });
  worker.addEventListener("error", forget, { once: true });
  return worker;
}
