// Stands for the package's worker: tells whether it may contact an address.

self.addEventListener("message", (event: MessageEvent<unknown>) => {
  fetch(String(event.data), { mode: "no-cors" }).then(
    () => self.postMessage("sent"),
    () => self.postMessage("refused"),
  );
});
