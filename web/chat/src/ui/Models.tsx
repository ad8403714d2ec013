import { bytes, count } from "../format";
import * as model from "../model";
import { notify, orSay } from "../notices";
import { Address } from "./Address";
import { adapterName } from "./Composer";
import { Dialog } from "./Dialog";
import { Fit } from "./Fit";
import { Icon, IconButton } from "./icons";
import { dialog, focusComposer, pickFiles } from "./shell";
import type { ModelEntry } from "../schema";
import type { StoredModel } from "wisp-llm";

export function Models() {
  return (
    <Dialog name="models" title="Models">
      <Loaded />
      <Offered title="On this computer" models={model.local.value} />
      <Offered title="Offered here" models={model.offered.value} />
      <section class="part">
        <h3>From elsewhere</h3>
        <Address />
        <button type="button" class="drop-zone" onClick={() => orSay(pickModel())}>
          <Icon name="open" />
          <span>
            <strong>Choose a GGUF file</strong> (all files of a split model) or drop it anywhere on this page
          </span>
        </button>
      </section>
      <Stored />
      <Context />
    </Dialog>
  );
}

/** Closes the dialog and loads. */
export function loadNow(choice: model.Choice): void {
  dialog.value = null;
  orSay(model.load(choice));
  focusComposer();
}

async function pickModel(): Promise<void> {
  const files = await pickFiles(".gguf");
  if (files.length > 0) loadNow(model.filesChoice(files));
}

function Loaded() {
  const ready = model.ready.value;
  if (!ready) return null;
  const { info } = ready;
  const { weights, kv, scratch, total, contextLength } = info.memory;
  return (
    <section class="part">
      <h3>Running</h3>
      <dl class="facts">
        <dt>Model</dt>
        <dd>{ready.choice.name}</dd>
        <dt>Adapter</dt>
        <dd>{adapterName(info)}</dd>
        <dt>Kernels</dt>
        <dd>{info.variant}</dd>
        <dt>Context</dt>
        <dd>{count(contextLength)} tokens</dd>
        <dt>GPU memory</dt>
        <dd>
          {bytes(total)} <span class="faint">weights {bytes(weights)}, context {bytes(kv)}, work {bytes(scratch)}</span>
        </dd>
      </dl>
      <div class="buttons">
        <button type="button" class="plain" onClick={() => orSay(model.unload())}>
          Unload
        </button>
      </div>
    </section>
  );
}

function Offered({ title, models }: { title: string; models: ModelEntry[] }) {
  if (models.length === 0) return null;
  return (
    <section class="part">
      <h3>{title}</h3>
      {models.map((entry) => (
        <Entry entry={entry} key={entry.id} />
      ))}
    </section>
  );
}

function Entry({ entry }: { entry: ModelEntry }) {
  const choice = model.offeredChoice(entry);
  const here = model.findStored(entry.url);
  const running = model.ready.value && model.isSame(model.ready.value.choice, choice);
  const isLocal = model.local.value.includes(entry);
  const label = running ? "Load again" : here?.complete || isLocal ? "Load" : here ? "Go on downloading" : "Download";
  return (
    <div class="model">
      <div class="card-head">
        <strong>{entry.name}</strong>
        <span class="numbers">
          {bytes(entry.bytes)}
          {entry.license && ` · ${entry.license}`}
        </span>
      </div>
      {entry.about && <p>{entry.about}</p>}
      <Fit choice={choice} />
      <div class="buttons">
        <button type="button" class={running ? "plain" : "solid"} onClick={() => loadNow(choice)} disabled={model.state.value.at === "loading"}>
          {label}
        </button>
      </div>
    </div>
  );
}

function Stored() {
  const models = model.stored.value;
  const room = model.quota.value;
  return (
    <section class="part">
      <h3>Kept in this browser</h3>
      {models.length === 0 && <p class="faint">No model yet. What you download stays here for the next visit, without network.</p>}
      <ul class="stored">
        {models.map((one) => (
          <li key={one.id}>
            <span class="stored-name">{one.name}</span>
            <span class="numbers">{one.complete ? bytes(one.size) : `${bytes(one.stored)} of ${bytes(one.size)}`}</span>
            <button type="button" class="plain" onClick={() => loadNow({ name: one.name, source: one.complete || one.url === "" ? { stored: one } : { url: one.url } })}>
              {one.complete ? "Load" : "Go on"}
            </button>
            <IconButton icon="trash" label={`Delete ${one.name}`} onClick={() => orSay(remove(one))} />
          </li>
        ))}
      </ul>
      {room && (
        <p class="faint">
          {bytes(room.usage)} used by this site, {bytes(room.available)} free.{" "}
          {room.persistent ? "The browser has promised to keep them." : "The browser may remove them when the disk is full."}
        </p>
      )}
    </section>
  );
}

async function remove(one: StoredModel): Promise<void> {
  await model.deleteStored(one);
  notify(`${one.name} was deleted: ${bytes(one.stored)} are free again.`);
}

function Context() {
  return (
    <section class="part">
      <div class="control">
        <label for="context">Context</label>
        <select
          id="context"
          class="field"
          aria-describedby="context-hint"
          value={model.contextLength.value}
          onChange={(event) => (model.contextLength.value = Number(event.currentTarget.value))}
        >
          {model.CONTEXTS.map((tokens) => (
            <option value={tokens} key={tokens}>
              {count(tokens)} tokens
            </option>
          ))}
        </select>
        <small id="context-hint">How much of a conversation the model can see; takes effect at the next load</small>
      </div>
    </section>
  );
}
