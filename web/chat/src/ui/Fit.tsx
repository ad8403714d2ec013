import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Memory } from "wisp-llm";
import { bytes, count } from "../format";
import * as model from "../model";
import { Icon } from "./icons";

type Found = { at: "unasked" } | { at: "asking" } | { at: "fits"; memory: Memory } | { at: "fails"; failure: model.Failure };

/** What a model needs. Another host is asked for it only when a person `asked`, or presses the button. */
export function Fit({ choice, asked = false }: { choice: model.Choice; asked?: boolean }) {
  const found = useSignal<Found>({ at: "unasked" });
  const pressed = useSignal(false);
  const tokens = model.contextLength.value;
  const key = "url" in choice.source ? choice.source.url : choice.name;
  const host = model.askedHost(choice);
  const may = asked || pressed.value || host === null;
  useEffect(() => {
    if (!may) return void (found.value = { at: "unasked" });
    let stale = false;
    found.value = { at: "asking" };
    const set = (value: Found) => void (stale || (found.value = value));
    model.plan(choice, tokens).then(
      (memory) => set({ at: "fits", memory }),
      (error: unknown) => set({ at: "fails", failure: model.toFailure(error) }),
    );
    return () => void (stale = true);
  }, [key, tokens, may]);
  if (!may) return <Guess choice={choice} tokens={tokens} host={host} ask={() => (pressed.value = true)} />;
  return (
    <p class="fit" data-at={found.value.at}>
      {words(found.value)}
    </p>
  );
}

/** What the page's own list tells, and the way to more. */
function Guess({ choice, tokens, host, ask }: { choice: model.Choice; tokens: number; host: string; ask: () => void }) {
  const about = model.roughly(choice, tokens);
  return (
    <p class="fit">
      <Icon name="chip" />
      <span>
        {about !== null && `Needs about ${bytes(about)} of GPU memory with a context of ${count(tokens)} tokens${storage()}. `}
        <button type="button" class="link" onClick={ask}>
          Ask {host} for its exact need
        </button>
      </span>
    </p>
  );
}

function storage(): string {
  const room = model.quota.value;
  return room ? `; ${bytes(room.available)} of storage are free here` : "";
}

function words(found: Found) {
  if (found.at === "asking" || found.at === "unasked") return "Finding out how much memory it needs…";
  if (found.at === "fails") {
    const { kind, message } = found.failure;
    // Not being able to tell is not the same as not fitting.
    const start = kind === "memory" ? "It does not fit: " : "";
    return (
      <>
        <Icon name="warning" /> {start}
        {message}
      </>
    );
  }
  const { total, contextLength } = found.memory;
  return (
    <>
      <Icon name="done" /> Needs {bytes(total)} of GPU memory with a context of {count(contextLength)} tokens
      {storage()}.
    </>
  );
}
