import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Memory } from "wisp-llm";
import { bytes, count } from "../format";
import * as model from "../model";
import { Icon } from "./icons";

type Found = { at: "asking" } | { at: "fits"; memory: Memory } | { at: "fails"; failure: model.Failure };

/** What a model needs, by its header: asked before anything is downloaded. */
export function Fit({ choice }: { choice: model.Choice }) {
  const found = useSignal<Found>({ at: "asking" });
  const tokens = model.contextLength.value;
  const key = "url" in choice.source ? choice.source.url : choice.name;
  useEffect(() => {
    let stale = false;
    found.value = { at: "asking" };
    const set = (value: Found) => void (stale || (found.value = value));
    model.plan(choice, tokens).then(
      (memory) => set({ at: "fits", memory }),
      (error: unknown) => set({ at: "fails", failure: model.toFailure(error) }),
    );
    return () => void (stale = true);
  }, [key, tokens]);
  return (
    <p class="fit" data-at={found.value.at}>
      {words(found.value)}
    </p>
  );
}

function words(found: Found) {
  if (found.at === "asking") return "Finding out how much memory it needs…";
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
  const room = model.quota.value;
  return (
    <>
      <Icon name="done" /> Needs {bytes(total)} of GPU memory with a context of {count(contextLength)} tokens
      {room && `; ${bytes(room.available)} of storage are free here`}.
    </>
  );
}
