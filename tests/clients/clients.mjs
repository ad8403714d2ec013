// JavaScript clients against `wisp serve`, unchanged: openai, Vercel's AI SDK.
//
// usage: node clients.mjs BASE_URL CHAT_MODEL EMBEDDING_MODEL
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, streamText } from "ai";
import OpenAI from "openai";

const [base, model, encoder] = process.argv.slice(2);
const question = "What is the capital of France?";
const answer = "The capital of France is Paris.";

async function openai() {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
  const asked = { model, messages: [{ role: "user", content: question }], temperature: 0 };
  const whole = await client.chat.completions.create({ ...asked, max_completion_tokens: 12 });
  assert.equal(whole.choices[0].message.content, answer);
  let text = "";
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  assert.equal(text, answer);
  const { data } = await client.embeddings.create({ model: encoder, input: "A cat sat." });
  assert.equal(data[0].embedding.length, 384);
  await assert.rejects(client.chat.completions.create({ ...asked, model: "gpt-5" }), { status: 404 });
}

async function aiSdk() {
  const wisp = createOpenAICompatible({ name: "wisp", baseURL: `${base}/v1`, apiKey: "none" });
  const asked = { model: wisp.chatModel(model), prompt: question, temperature: 0, maxRetries: 0 };
  const whole = await generateText({ ...asked, maxOutputTokens: 12 });
  assert.equal(whole.text, answer);
  assert.equal(whole.finishReason, "stop");
  let text = "";
  for await (const part of streamText({ ...asked, maxOutputTokens: 12 }).textStream) text += part;
  assert.equal(text, answer);
  const { embedding } = await embed({ model: wisp.embeddingModel(encoder), value: "A cat sat." });
  assert.equal(embedding.length, 384);
}

for (const check of [openai, aiSdk]) {
  await check();
  console.log(`${check.name}: as it should be`);
}
