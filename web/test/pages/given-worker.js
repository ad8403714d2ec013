// A worker of an application's own that has the engine beside its own work.

import "/pkg/worker.js";

self.addEventListener("message", ({ data }) => {
  if (data === "ping") self.postMessage("pong");
});
