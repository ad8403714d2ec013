import { expect, it } from "vitest";
import { budget, estimate, ranked } from "../src/needs";
import type { ModelEntry } from "../src/schema";

const entry = (id: string, bytes: number, kv = 20_000): ModelEntry => ({
  id,
  name: id,
  url: `https://host/${id}.gguf`,
  bytes,
  kv_bytes_per_token: kv,
});
const MODELS = [entry("tiny", 0.1e9), entry("large", 5e9), entry("middle", 1.1e9), entry("big", 2.5e9)];
const order = (machine: Parameters<typeof budget>[0]) => ranked(MODELS, 4096, machine).map(({ id }) => id);

it("puts the largest model that fits first", () => {
  const computer = { software: false, mobile: false, memory: 8 };
  expect(order(computer)).toEqual(["big", "middle", "tiny", "large"]);
  expect(order({ ...computer, memory: 4 })).toEqual(["middle", "tiny", "big", "large"]);
  // Firefox and Safari do not say.
  expect(order({ ...computer, memory: undefined })[0]).toBe("big");
});

it("offers little to what computes slowly or has little memory", () => {
  expect(order({ software: true, mobile: false, memory: 8 })).toEqual(["tiny", "middle", "big", "large"]);
  expect(order({ software: false, mobile: true, memory: 8 })[0]).toBe("tiny");
});

it("counts the cache of a longer context, and says when it cannot", () => {
  const [model] = MODELS as [ModelEntry];
  expect((estimate(model, 8192) ?? 0) - (estimate(model, 4096) ?? 0)).toBe(4096 * 20_000);
  expect(estimate({ ...model, kv_bytes_per_token: undefined }, 4096)).toBeNull();
});

it("puts base models behind those that were trained to chat", () => {
  const base = { ...entry("base", 2.6e9), chat: false };
  expect(ranked([base, ...MODELS], 4096, { software: false, mobile: false, memory: 8 }).map(({ id }) => id)).toEqual(
    ["big", "middle", "tiny", "base", "large"],
  );
});
