// A worker that uses the engine itself.

import { load } from "/pkg/index.js";

self.onmessage = async ({ data: { model, prompt, tokens } }) => {
  try {
    const engine = await load(model);
    const answer = await engine.completions.create({ prompt, max_tokens: tokens, temperature: 0 });
    await engine.unload();
    self.postMessage({ text: answer.choices[0].text });
  } catch ({ name, kind, message }) {
    self.postMessage({ error: { name, kind, message } });
  }
};
