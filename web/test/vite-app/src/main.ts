// An application as a developer would begin one: no plug-in, no settings.

import { load } from "wisp-llm";

async function answer(model: string, prompt: string): Promise<string> {
  const engine = await load(model, { contextLength: 256 });
  let text = "";
  for await (const chunk of await engine.completions.create({ prompt, max_tokens: 2, temperature: 0, stream: true })) {
    text += chunk.choices[0]?.text ?? "";
  }
  await engine.unload();
  return text;
}

Object.assign(globalThis, { answer, ready: true });
