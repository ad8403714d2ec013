import { configure, current, defaults } from "../conversations";
import { orSay } from "../notices";
import { DEFAULTS, type Settings } from "../schema";
import { Dialog } from "./Dialog";

type Numeric = Exclude<keyof Settings, "seed">;

interface Control {
  name: Numeric;
  label: string;
  hint: string;
  min: number;
  max: number;
  step: number;
}

const CONTROLS: Control[] = [
  { name: "temperature", label: "Temperature", hint: "0 always takes the likeliest token; higher is more varied", min: 0, max: 2, step: 0.05 },
  { name: "topP", label: "Top-p", hint: "Keeps the likeliest tokens that make up this share", min: 0.05, max: 1, step: 0.05 },
  { name: "topK", label: "Top-k", hint: "Keeps so many of the likeliest tokens; 0 keeps all", min: 0, max: 200, step: 1 },
  { name: "minP", label: "Min-p", hint: "Drops tokens less likely than this share of the likeliest", min: 0, max: 0.5, step: 0.01 },
  { name: "maxTokens", label: "Longest answer", hint: "In tokens; about ¾ of a word each", min: 16, max: 8192, step: 16 },
  { name: "repetitionPenalty", label: "Repetition penalty", hint: "Above 1 makes repetition less likely", min: 1, max: 2, step: 0.05 },
  { name: "presencePenalty", label: "Presence penalty", hint: "Above 0 favours tokens that were not used yet", min: -2, max: 2, step: 0.1 },
  { name: "frequencyPenalty", label: "Frequency penalty", hint: "Above 0 weighs against tokens by how often they were used", min: -2, max: 2, step: 0.1 },
];

export function SettingsDialog() {
  const { settings, system } = current.value ?? defaults.value;
  const set = (part: Partial<Settings>) => orSay(configure({ settings: { ...settings, ...part } }));
  return (
    <Dialog name="settings" title="Settings">
      <p class="faint">For this conversation and for those you begin after it.</p>
      <label class="stack">
        <span>System prompt</span>
        <textarea
          class="field"
          rows={4}
          maxLength={100_000}
          placeholder="How the model should behave. Empty: as its makers intended."
          value={system}
          onInput={(event) => orSay(configure({ system: event.currentTarget.value }))}
        />
      </label>
      <div class="controls">
        {CONTROLS.map((control) => (
          <Slider control={control} value={settings[control.name]} set={(value) => set({ [control.name]: value })} key={control.name} />
        ))}
        <div class="control">
          <label for="seed">Seed</label>
          <input
            id="seed"
            class="field number wider"
            inputMode="numeric"
            pattern="[0-9]*"
            maxLength={10}
            placeholder="random"
            aria-describedby="seed-hint"
            value={settings.seed ?? ""}
            onChange={(event) => {
              const { value } = event.currentTarget;
              const seed = /^\d+$/.test(value) ? Math.min(Number(value), 2 ** 32 - 1) : null;
              event.currentTarget.value = String(seed ?? "");
              set({ seed });
            }}
          />
          <small id="seed-hint">The same seed and settings give the same answer; empty is another one each time</small>
        </div>
      </div>
      <div class="buttons">
        <button type="button" class="plain" onClick={() => orSay(configure({ settings: DEFAULTS }))}>
          Reset to defaults
        </button>
      </div>
    </Dialog>
  );
}

function Slider({ control, value, set }: { control: Control; value: number; set: (value: number) => void }) {
  const { name, label, hint, min, max, step } = control;
  const take = (input: HTMLInputElement) => {
    const asked = input.valueAsNumber;
    const bounded = Number.isNaN(asked) ? value : Math.min(Math.max(asked, min), max);
    const next = Number.isInteger(step) ? Math.round(bounded) : bounded;
    input.value = String(next);
    set(next);
  };
  const common = { min, max, value, "aria-describedby": `${name}-hint` };
  return (
    <div class="control">
      <label for={name}>{label}</label>
      <input
        {...common}
        id={name}
        class="field number"
        type="number"
        step={Number.isInteger(step) ? 1 : step}
        onChange={(event) => take(event.currentTarget)}
      />
      <input {...common} type="range" step={step} aria-label={`${label}, slider`} onInput={(event) => take(event.currentTarget)} />
      <small id={`${name}-hint`}>{hint}</small>
    </div>
  );
}
