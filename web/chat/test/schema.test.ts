import { readFileSync } from "node:fs";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { type Conversation, DEFAULTS, ModelList, parseExport, toExport } from "../src/schema";

const one: Conversation = {
  id: "a",
  title: "Sky",
  created: 1,
  updated: 2,
  system: "",
  settings: DEFAULTS,
  messages: [
    { role: "user", text: "Why?" },
    {
      role: "assistant",
      text: "Because.",
      stats: { model: "m", finish: "stop", tokens: 2, promptTokens: 9, firstTokenMs: 80, tokensPerSecond: 12.5 },
    },
  ],
};

/** The file of one conversation, with something changed. */
function spoiled(change: (file: any) => void): string {
  const file = JSON.parse(toExport([one]));
  change(file);
  return JSON.stringify(file);
}

describe("import", () => {
  it("gives back what was exported", () => {
    expect(parseExport(toExport([one]))).toEqual([one]);
  });

  it("drops fields that it does not know", () => {
    const text = spoiled((file) => (file.conversations[0].messages[0].html = "<script>"));
    expect(parseExport(text)).toEqual([one]);
  });

  it.each<[string, string, string]>([
    ["no JSON", "{", "This file is not JSON: choose a file that was exported from Wisp."],
    ["a list", "[]", "This JSON file has no Wisp conversations: choose a file that was exported from Wisp."],
    ["null", "null", "This JSON file has no Wisp conversations: choose a file that was exported from Wisp."],
    [
      "a later version",
      spoiled((file) => (file.version = 2)),
      "This file has format version 2 and this page reads version 1: update the page and try again.",
    ],
    [
      "an unknown role",
      spoiled((file) => (file.conversations[0].messages[1].role = "system")),
      'Nothing was imported from this damaged file: “conversation 1, message 2, role” is "system" and should be "user" or "assistant".',
    ],
    [
      "a missing text",
      spoiled((file) => delete file.conversations[0].messages[0].text),
      "Nothing was imported from this damaged file: “conversation 1, message 1, text” is missing.",
    ],
    [
      "a setting out of bounds",
      spoiled((file) => (file.conversations[0].settings.temperature = 7)),
      "Nothing was imported from this damaged file: “conversation 1, settings, temperature” is 7 and should be at most 2.",
    ],
    [
      "no list",
      spoiled((file) => (file.conversations = {})),
      "Nothing was imported from this damaged file: “conversations” is Object and should be Array.",
    ],
  ])("refuses %s in one sentence", (_, text, message) => {
    expect(() => parseExport(text)).toThrowError(message);
  });
});

describe("the models that this page offers", () => {
  const list = JSON.parse(readFileSync(`${import.meta.dirname}/../public/models.json`, "utf8")) as unknown;

  it("are as the page reads them, and say how much memory they need", () => {
    const { models } = v.parse(ModelList, list);
    for (const model of models) expect(model.kv_bytes_per_token, model.id).toBeGreaterThan(0);
  });

  it("have a checksum only where their address is of one revision: another one would fail after the whole download", () => {
    for (const { id, url, sha256 } of v.parse(ModelList, list).models) {
      if (sha256 !== undefined) expect(url, id).toMatch(/\/resolve\/[0-9a-f]{40}\//);
    }
  });
});
