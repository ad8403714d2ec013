import "fake-indexeddb/auto";
import { beforeEach, expect, it, vi } from "vitest";

type Store = typeof import("../src/conversations");
let store: Store;

/** As after a reload of the page: the same database, nothing in memory. */
async function reload(): Promise<Store> {
  vi.resetModules();
  store = await import("../src/conversations");
  await store.open();
  return store;
}

beforeEach(async () => {
  await reload();
  for (const { id } of store.conversations.value) await store.remove(id);
});

it("finds everything again after a reload", async () => {
  const { id } = await store.create("Why is the sky blue?");
  await store.change(id, { messages: [{ role: "user", text: "Why is the sky blue?" }] });
  await store.configure({ system: "Be brief." });
  await reload();
  expect(store.current.value).toMatchObject({ id, title: "Why is the sky blue?", system: "Be brief." });
  expect(store.current.value?.messages).toHaveLength(1);
  expect(store.defaults.value.system).toBe("Be brief.");
});

it("keeps what was being written when the page was closed", async () => {
  const { id } = await store.create("a");
  await store.keep(id, [{ role: "user", text: "a" }, { role: "assistant", text: "half" }]);
  expect(store.current.value?.messages).toEqual([]);
  await reload();
  expect(store.current.value?.messages.at(-1)?.text).toBe("half");
});

it("moves the conversation that goes on to the top, and leaves it there when it is renamed", async () => {
  const first = await store.create("first");
  const second = await store.create("second");
  await store.change(first.id, { messages: [{ role: "user", text: "x" }] });
  await store.change(second.id, { title: "renamed" });
  const titles = () => store.conversations.value.map(({ title }) => title);
  expect(titles()).toEqual(["first", "renamed"]);
});

it("brings a deleted conversation back", async () => {
  const { id } = await store.create("a");
  const undo = await store.remove(id);
  expect(store.current.value).toBeNull();
  await undo();
  await reload();
  expect(store.conversations.value.map((one) => one.id)).toEqual([id]);
});

it("imports nothing twice and overwrites nothing", async () => {
  const { id } = await store.create("a");
  await store.change(id, { messages: [{ role: "user", text: "a" }] });
  const file = store.exportText();
  expect(await store.importText(file)).toEqual({ added: 0, same: 1 });
  await store.change(id, { messages: [{ role: "user", text: "changed" }] });
  expect(await store.importText(file)).toEqual({ added: 1, same: 0 });
  const texts = store.conversations.value.map(({ messages }) => messages[0]?.text);
  expect(texts.sort()).toEqual(["a", "changed"]);
});

it("imports nothing of a damaged file", async () => {
  const { id } = await store.create("a");
  const file = store.exportText().replace(`"title": "a"`, `"title": 1`);
  await store.remove(id);
  await expect(store.importText(file)).rejects.toThrow("conversation 1, title");
  expect(store.conversations.value).toEqual([]);
});

it("shows what another tab has written", async () => {
  const here = store;
  const there = await reload();
  expect(there).not.toBe(here);
  const { id } = await there.create("from there");
  await vi.waitFor(() => expect(here.conversations.value.map((one) => one.id)).toEqual([id]));
  await there.change(id, { messages: [{ role: "user", text: "x" }] });
  await vi.waitFor(() => expect(here.conversations.value[0]?.messages).toHaveLength(1));
});

it("takes a title from the beginning of a message, at a word", () => {
  expect(store.titleOf("  Why\n is it? ")).toBe("Why is it?");
  expect(store.titleOf("word ".repeat(30))).toBe(`${"word ".repeat(11)}word…`);
  expect(store.titleOf("")).toBe("New chat");
});
