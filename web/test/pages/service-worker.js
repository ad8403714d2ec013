// A service worker that uses the engine itself.

import { load } from "/pkg/service-worker.js";

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("message", (event) => {
  const [port] = event.ports;
  event.waitUntil(
    answer(event.data).then(
      (text) => port.postMessage({ text }),
      ({ name, kind, message }) => port.postMessage({ error: { name, kind, message } }),
    ),
  );
});

async function answer({ model, prompt, tokens }) {
  const engine = await load(model);
  const answer = await engine.completions.create({ prompt, max_tokens: tokens, temperature: 0 });
  await engine.unload();
  return answer.choices[0].text;
}
