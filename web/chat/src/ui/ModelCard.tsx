// What the model is doing, unless it is simply there.

import type { Progress } from "wisp-llm";
import { bytes, count, seconds } from "../format";
import * as model from "../model";
import { asSentence, orSay } from "../notices";
import { Icon } from "./icons";
import { dialog, focusComposer } from "./shell";

export function ModelCard() {
  const state = model.state.value;
  const support = model.support.value;
  if (support && !support.ok) return <Banner text={asSentence(support.message)} />;
  if (state.at === "loading") return <Loading state={state} />;
  if (state.at === "failed") return <Failed state={state} />;
  if (state.at === "none" && support) return <Banner text="No model is loaded." action="Choose a model" />;
  return null;
}

function Banner({ text, action }: { text: string; action?: string }) {
  return (
    <div class="card row-card">
      <p>{text}</p>
      {action && (
        <button type="button" class="solid" onClick={() => (dialog.value = "models")}>
          {action}
        </button>
      )}
    </div>
  );
}

const PHASES: Record<Progress["phase"], string> = {
  download: "Downloading",
  verify: "Checking the file",
  tune: "Measuring what is fastest on this GPU",
  check: "Checking the arithmetic of this GPU",
  compile: "Compiling kernels",
  weights: "Moving the weights to the GPU",
  ready: "Ready",
};

const FIRST: Partial<Record<Progress["phase"], string>> = {
  tune: "Once for each GPU and version",
  check: "Every kernel is compared with its definition, once for each GPU and version",
};

function Loading({ state }: { state: Extract<model.State, { at: "loading" }> }) {
  const shown = shownPhase(state);
  const { loaded = 0, total = 0, bytesPerSecond, text } = state.progress[shown] ?? {};
  const known = total > 0 && loaded > 0;
  const size = shown === "check" || shown === "compile" ? String : bytes;
  const left = known && bytesPerSecond ? ((total - loaded) / bytesPerSecond) * 1000 : null;
  const facts = [
    known ? `${size(loaded)} of ${size(total)}` : "",
    bytesPerSecond && loaded < total ? `${bytes(bytesPerSecond)}/s` : "",
    left !== null && left >= 1000 ? `${seconds(left)} left` : "",
  ].filter(Boolean);
  const note = text ?? FIRST[shown] ?? "";
  const far = "url" in state.choice.source;
  const start = far ? "Connecting" : "Opening";
  const phase = shown !== "download" ? PHASES[shown] : !known ? start : far ? PHASES.download : "Reading the file";
  return (
    <section class="card" aria-label="Loading the model">
      <div class="card-head">
        <strong>{state.choice.name}</strong>
        <button
          type="button"
          class="plain"
          onClick={() => {
            orSay(model.unload());
            focusComposer();
          }}
        >
          Cancel
        </button>
      </div>
      <progress aria-label={phase} {...(known ? { value: loaded, max: total } : {})} />
      <p class="card-facts">
        <span aria-live="polite">{phase}</span>
        <span class="numbers">{facts.join(" · ")}</span>
      </p>
      {note && <p class="faint">{asSentence(note)}</p>}
    </section>
  );
}

/** Download and weights go on side by side: the download is what one waits for. */
function shownPhase({ progress, phase }: Extract<model.State, { at: "loading" }>): Progress["phase"] {
  const { download } = progress;
  const downloading = download !== undefined && (download.total === 0 || download.loaded < download.total);
  return phase === "weights" && downloading ? "download" : phase;
}

/** What the engine said, for whoever wants to know. */
export function Details({ text }: { text: string | undefined }) {
  if (text === undefined) return null;
  return (
    <details class="details">
      <summary>Details</summary>
      <p>{text}</p>
    </details>
  );
}

function Failed({ state }: { state: Extract<model.State, { at: "failed" }> }) {
  const { choice, failure, contextLength } = state;
  const smaller = failure.kind === "memory" ? model.smallerContext(contextLength) : null;
  const retry = (tokens: number) => {
    model.contextLength.value = tokens;
    orSay(model.load(choice));
  };
  return (
    <section class="card bad" role="alert">
      <div class="card-head">
        <Icon name="warning" />
        <strong>{choice.name} was not loaded</strong>
      </div>
      <p>{failure.message}</p>
      <Details text={failure.details} />
      <div class="buttons">
        <button type="button" class="plain" onClick={() => (dialog.value = "models")}>
          Another model
        </button>
        <button type="button" class={smaller ? "plain" : "solid"} onClick={() => retry(contextLength)}>
          Try again
        </button>
        {smaller && (
          <button type="button" class="solid" onClick={() => retry(smaller)}>
            Try with a context of {count(smaller)}
          </button>
        )}
      </div>
    </section>
  );
}
