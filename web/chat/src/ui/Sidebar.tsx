import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import * as chat from "../chat";
import * as store from "../conversations";
import { age } from "../format";
import { notify, orSay } from "../notices";
import type { Conversation } from "../schema";
import { nextTheme, theme } from "../theme";
import { Icon, IconButton, Mark } from "./icons";
import { importFile } from "./importing";
import { isComposing } from "./keys";
import { dialog, download, drawer, focusComposer, pickFiles } from "./shell";

export function Sidebar() {
  const empty = store.conversations.value.length === 0;
  const first = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (drawer.value) first.current?.focus();
  }, [drawer.value]);
  return (
    <>
      <div class="scrim" data-open={drawer.value} onClick={() => (drawer.value = false)} />
      <nav class="sidebar" data-open={drawer.value} aria-label="Conversations">
        <div class="brand">
          <Mark />
          <span>Wisp</span>
        </div>
        <button ref={first} type="button" class="new-chat" onClick={() => show(null)}>
          <Icon name="plus" /> New chat
        </button>
        <div class="conversations">
          {empty ? <p class="faint">Conversations will be listed here. They stay in this browser.</p> : <List />}
        </div>
        <div class="side-foot">
          <IconButton icon="open" label="Import conversations" onClick={() => orSay(pickImport())} />
          <IconButton icon="save" label="Export all conversations" disabled={empty} onClick={() => exportThem()} />
          <IconButton icon={theme.value} label={`Theme: ${theme.value}`} onClick={nextTheme} />
          <IconButton icon="shield" label="Privacy" onClick={() => (dialog.value = "privacy")} />
        </div>
      </nav>
    </>
  );
}

function show(id: string | null): void {
  orSay(store.select(id));
  drawer.value = false;
  focusComposer();
}

async function pickImport(): Promise<void> {
  const [file] = await pickFiles(".json,application/json", false);
  if (file) await importFile(file);
}

function exportThem(one?: Conversation): void {
  const day = new Date().toISOString().slice(0, 10);
  const name = one ? one.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "chat" : "conversations";
  download(`wisp-${name}-${day}.json`, store.exportText(one && [one.id]));
}

function List() {
  const now = Date.now();
  const groups = new Map<string, Conversation[]>();
  for (const one of store.conversations.value) {
    const name = age(one.updated, now);
    groups.set(name, [...(groups.get(name) ?? []), one]);
  }
  return (
    <>
      {[...groups].map(([name, members]) => (
        <section key={name}>
          <h2>{name}</h2>
          <ul>
            {members.map((one) => (
              <Row conversation={one} key={one.id} />
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}

function Row({ conversation }: { conversation: Conversation }) {
  const renaming = useSignal(false);
  const { id, title } = conversation;
  const answering = chat.live.value?.conversation === id;
  if (renaming.value) {
    return (
      <li>
        <Rename
          title={title}
          done={(next) => {
            renaming.value = false;
            if (next) orSay(store.change(id, { title: next.slice(0, 200) }));
          }}
        />
      </li>
    );
  }
  const isCurrent = store.currentId.value === id;
  return (
    <li class="row" data-current={isCurrent}>
      <button type="button" class="row-title" aria-current={isCurrent ? "page" : undefined} onClick={() => show(id)}>
        {answering && <span class="ember" aria-label="Being answered" role="img" />}
        {title}
      </button>
      <span class="row-actions">
        <IconButton icon="edit" label={`Rename “${title}”`} onClick={() => (renaming.value = true)} />
        <IconButton icon="save" label={`Export “${title}”`} onClick={() => exportThem(conversation)} />
        <IconButton icon="trash" label={`Delete “${title}”`} onClick={() => orSay(remove(conversation))} />
      </span>
    </li>
  );
}

async function remove({ id, title }: Conversation): Promise<void> {
  if (chat.live.value?.conversation === id) chat.stop();
  const restore = await store.remove(id);
  notify(`“${title}” was deleted.`, { action: { label: "Undo", run: () => orSay(restore()) } });
  focusComposer();
}

function Rename({ title, done }: { title: string; done: (title: string | null) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.select(), []);
  return (
    <input
      ref={input}
      class="rename"
      aria-label="Title"
      defaultValue={title}
      maxLength={200}
      onBlur={(event) => done(event.currentTarget.value.trim() || null)}
      onKeyDown={(event) => {
        if (isComposing(event)) return;
        if (event.key === "Escape") {
          event.preventDefault();
          event.currentTarget.value = title;
        }
        if (event.key === "Escape" || event.key === "Enter") event.currentTarget.blur();
      }}
    />
  );
}
