// IndexedDB: conversations by id, and a few small values by name.

import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import type { Conversation } from "./schema";

interface Schema extends DBSchema {
  conversations: { key: string; value: Conversation; indexes: { updated: number } };
  values: { key: string; value: unknown };
}

let opened: Promise<IDBPDatabase<Schema> | null> | undefined;

/** Null where the browser keeps nothing for this page: then all of this does nothing. */
function database(): Promise<IDBPDatabase<Schema> | null> {
  opened ??= connect().catch(() => null);
  return opened;
}

async function connect(): Promise<IDBPDatabase<Schema>> {
  return openDB<Schema>("wisp-chat", 1, {
    upgrade(db) {
      db.createObjectStore("conversations", { keyPath: "id" }).createIndex("updated", "updated");
      db.createObjectStore("values");
    },
    // Another tab has a newer page and wants to upgrade: let it. What is asked for after that
    // is answered by the upgraded database, or by none.
    blocking: (_current, _blocked, event) => {
      opened = undefined;
      (event.target as IDBDatabase).close();
    },
    terminated: () => void (opened = undefined),
  });
}

export async function isKept(): Promise<boolean> {
  return (await database()) !== null;
}

/** Newest first. */
export async function allConversations(): Promise<Conversation[]> {
  const found = await (await database())?.getAllFromIndex("conversations", "updated");
  return found?.reverse() ?? [];
}

export async function putConversation(conversation: Conversation): Promise<void> {
  await (await database())?.put("conversations", conversation);
}

export async function removeConversation(id: string): Promise<void> {
  await (await database())?.delete("conversations", id);
}

export async function getValue(name: string): Promise<unknown> {
  return (await database())?.get("values", name);
}

export async function putValue(name: string, value: unknown): Promise<void> {
  await (await database())?.put("values", value, name);
}
