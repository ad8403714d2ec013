// A worker of an application's own that has the engine beside its own work.

import "/pkg/worker.js";

self.addEventListener("message", ({ data }) => {
  if (data === "ping") self.postMessage("pong");
  if (data === "throw") throw new Error("a mistake of the application's own");
});
