import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import * as chat from "../chat";
import * as store from "../conversations";
import * as model from "../model";
import { notify, orSay } from "../notices";
import { useUpdate, update } from "../offline";
import { hasPending } from "./Address";
import { Composer } from "./Composer";
import { IconButton } from "./icons";
import { importFile } from "./importing";
import { Models } from "./Models";
import { ModelCard } from "./ModelCard";
import { Notices } from "./Notices";
import { Privacy } from "./Privacy";
import { SettingsDialog } from "./SettingsDialog";
import { dialog, drawer, focusComposer } from "./shell";
import { Sidebar } from "./Sidebar";
import { Thread } from "./Thread";
import { Welcome } from "./Welcome";

export function App() {
  useEffect(() => {
    if (hasPending()) dialog.value = "models";
    document.addEventListener("keydown", onKey);
    // In a wide window the list stands beside the page and can't be closed.
    matchMedia("(min-width: 900px)").addEventListener("change", () => (drawer.value = false));
  }, []);
  const conversation = store.current.value;
  return (
    <DropTarget>
      <a class="skip" href="#message">
        Skip to the message box
      </a>
      <Sidebar />
      <main class="main" inert={drawer.value}>
        <Header title={conversation?.title ?? "New chat"} />
        {conversation ? <Thread conversation={conversation} key={conversation.id} /> : <Welcome />}
        <div class="dock">
          {conversation && <ModelCard />}
          {model.support.value?.ok !== false && <Composer />}
        </div>
      </main>
      <Models />
      <SettingsDialog />
      <Privacy />
      <Notices />
    </DropTarget>
  );
}

/** Escape: what is open closes first, then the answer stops. */
function onKey(event: KeyboardEvent): void {
  if (event.key !== "Escape" || event.defaultPrevented || dialog.value) return;
  if (drawer.value) {
    drawer.value = false;
    focusComposer();
  } else if (chat.live.value) {
    chat.stop();
    focusComposer();
  }
}

const STATUS = { none: "no model", loading: "loading", ready: "ready", failed: "not loaded" } as const;

function Header({ title }: { title: string }) {
  const { at } = model.state.value;
  const lost = model.ready.value?.lost === true;
  const status = lost ? "setting the GPU up again" : STATUS[at];
  return (
    <header class="header">
      <IconButton
        class="only-narrow"
        icon="menu"
        label="Conversations"
        expanded={drawer.value}
        onClick={() => (drawer.value = !drawer.value)}
      />
      <h1 title={title}>{title}</h1>
      {update.value && (
        <button type="button" class="chip accent" onClick={useUpdate}>
          Update
        </button>
      )}
      <button type="button" class="chip" data-state={lost ? "loading" : at} onClick={() => (dialog.value = "models")}>
        <span class="dot" />
        <span class="chip-name">{model.modelName.value ?? "Choose a model"}</span>
        <span class={model.modelName.value ? "chip-status" : "hidden"}>{status}</span>
      </button>
      <IconButton icon="settings" label="Settings" onClick={() => (dialog.value = "settings")} />
    </header>
  );
}

/** A file that is dropped anywhere: a model, or exported conversations. */
function DropTarget({ children }: { children: preact.ComponentChildren }) {
  const over = useSignal(false);
  const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true;
  return (
    <div
      class="app"
      onDragOver={(event) => {
        if (!hasFile(event)) return;
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={(event) => {
        if (!event.relatedTarget) over.value = false;
      }}
      onDrop={(event) => {
        over.value = false;
        const files = [...(event.dataTransfer?.files ?? [])];
        if (files.length === 0) return;
        event.preventDefault();
        orSay(takeFiles(files));
      }}
    >
      {children}
      {over.value && <div class="drop">Drop a model (.gguf) or exported conversations (.json)</div>}
    </div>
  );
}

async function takeFiles(files: File[]): Promise<void> {
  const [file] = files;
  if (files.length === 1 && file && /\.json$/i.test(file.name)) return importFile(file);
  const other = files.find(({ name }) => !/\.gguf$/i.test(name));
  if (other) {
    return notify(`“${other.name}” is neither a model (.gguf) nor exported conversations (.json).`, { tone: "bad" });
  }
  dialog.value = null;
  await model.load(model.filesChoice(files));
}
