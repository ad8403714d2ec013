import { useComputed } from "@preact/signals";
import * as chat from "../chat";
import { bytes } from "../format";
import * as model from "../model";
import { orSay } from "../notices";
import { Fit } from "./Fit";
import { Mark } from "./icons";
import { ModelCard } from "./ModelCard";
import { dialog, draft, focusComposer } from "./shell";
import { Unsupported } from "./Unsupported";

export function Welcome() {
  const at = useComputed(() => model.state.value.at).value;
  const support = model.support.value;
  if (support && !support.ok) return <Unsupported support={support} />;
  return (
    <div class="welcome">
      <div class="column">
        <Mark />
        <h2>{at === "ready" ? "Ask away" : "A language model, in this tab"}</h2>
        <p class="lead">
          {at === "ready"
            ? "The model is here, on your machine. It works without a network, too."
            : "It runs on your own graphics card. No account, no server; nothing you type leaves this device."}
        </p>
        {at === "ready" ? <Suggestions /> : at === "none" ? support && <First /> : <ModelCard />}
      </div>
    </div>
  );
}

/** The best model for this machine, one click away; what is on this computer before all else. */
function First() {
  const first = model.local.value[0] ?? model.offered.value[0];
  if (!first) return <button class="solid" onClick={() => (dialog.value = "models")}>Choose a model</button>;
  const here = model.findStored(first.url)?.complete === true || model.local.value.includes(first);
  const choice = model.offeredChoice(first);
  const load = () => {
    orSay(model.load(choice));
    focusComposer();
  };
  return (
    <div class="card offer">
      <div class="card-head">
        <strong>{first.name}</strong>
        <span class="numbers">{bytes(first.bytes)}</span>
      </div>
      {first.about && <p>{first.about}</p>}
      <Fit choice={choice} />
      <div class="buttons">
        <button type="button" class="plain" onClick={() => (dialog.value = "models")}>
          Other models
        </button>
        <button type="button" class="solid" onClick={load}>
          {here ? "Load" : `Download ${bytes(first.bytes)} and start`}
        </button>
      </div>
    </div>
  );
}

const SUGGESTIONS = [
  "Explain why the sky is blue, in three sentences.",
  "Write a Python function that counts the words of a text.",
  "Plan a rainy Sunday with two children.",
  "Give me five names for a small boat.",
];

function Suggestions() {
  return (
    <ul class="suggestions">
      {SUGGESTIONS.map((text) => (
        <li key={text}>
          <button
            type="button"
            onClick={() => {
              draft.value = "";
              orSay(chat.send(text));
              focusComposer();
            }}
          >
            {text}
          </button>
        </li>
      ))}
    </ul>
  );
}
