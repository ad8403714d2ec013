import { computed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import * as chat from "../chat";
import { count, perSecond, seconds } from "../format";
import * as model from "../model";
import { orSay } from "../notices";
import type { Conversation, Message, Stats } from "../schema";
import type { Live } from "../stream";
import { Icon, IconButton } from "./icons";
import { CopyButton, Markdown } from "./Markdown";
import { isPlainEnter } from "./keys";
import { memo } from "./memo";
import { focusComposer } from "./shell";

/** A signal of its own: what is written changes at every frame, this does not. */
const canAnswer = computed(() => model.ready.value !== null && chat.live.value === null);

/** Rendered again only when something of it changed: not at every frame of an answer. */
export const Question = memo((props: { conversation: Conversation; index: number; text: string }) => {
  const { conversation, index, text } = props;
  const editing = useSignal(false);
  if (editing.value) {
    const close = () => {
      editing.value = false;
      focusComposer();
    };
    return <Editor text={text} cancel={close} save={(next) => (close(), orSay(chat.edit(conversation, index, next)))} />;
  }
  return (
    <article class="question" aria-label="You">
      <div class="bubble">{text}</div>
      <div class="actions">
        <CopyButton text={text} label="Copy the question" />
        <IconButton icon="edit" label="Edit the question" disabled={!canAnswer.value} onClick={() => (editing.value = true)} />
      </div>
    </article>
  );
});

function Editor({ text, save, cancel }: { text: string; save: (text: string) => void; cancel: () => void }) {
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    box.current?.focus();
    box.current?.setSelectionRange(text.length, text.length);
  }, []);
  const done = () => {
    const next = box.current?.value.trim();
    if (next) save(next);
  };
  return (
    <form
      class="editor"
      onSubmit={(event) => {
        event.preventDefault();
        done();
      }}
    >
      <textarea
        ref={box}
        class="field"
        aria-label="Edit the question"
        defaultValue={text}
        onKeyDown={(event) => {
          if (isPlainEnter(event)) {
            event.preventDefault();
            done();
          } else if (event.key === "Escape") {
            event.preventDefault();
            cancel();
          }
        }}
      />
      <p class="faint">What follows this question is replaced by a new answer.</p>
      <div class="buttons">
        <button type="button" class="plain" onClick={cancel}>
          Cancel
        </button>
        <button type="submit" class="solid">
          Answer again
        </button>
      </div>
    </form>
  );
}

interface AnswerProps {
  conversation: Conversation;
  message: Message;
  last: boolean;
  live?: Live;
}

/** Rendered again only when something of it changed. */
export const Answer = memo(({ conversation, message, last, live }: AnswerProps) => {
  const { text, stats } = message;
  return (
    <article class="answer" aria-label="Wisp" aria-busy={live ? true : undefined} data-live={live && (live.lost ? "lost" : "writing")}>
      {text !== "" && <Markdown text={text} grows={live !== undefined} />}
      {live && <Waiting live={live} />}
      {!live && stats?.error && <Failed error={stats.error} conversation={conversation} last={last} />}
      <div class="actions">
        {!live && text !== "" && <CopyButton text={text} label="Copy the answer" />}
        {last && <IconButton icon="again" label="Answer again" disabled={!canAnswer.value} onClick={() => orSay(chat.regenerate(conversation))} />}
        {stats && <Figures stats={stats} running={live !== undefined} />}
      </div>
    </article>
  );
});

function Waiting({ live }: { live: Live }) {
  if (live.lost) {
    return (
      <p class="waiting">
        <span class="ember" /> The graphics card was reset. Setting it up again; the answer goes on after that.
      </p>
    );
  }
  if (live.text !== "") return null;
  return (
    <p class="waiting">
      <span class="ember" /> Reading
    </p>
  );
}

/** Speed and the wait for the first token; why it ended, where that needs a word. */
function Figures({ stats, running }: { stats: Stats; running: boolean }) {
  const { tokens, tokensPerSecond, firstTokenMs, finish } = stats;
  const parts: string[] = [];
  if (tokensPerSecond !== null) parts.push(`${perSecond(tokensPerSecond)} tokens/s`);
  if (firstTokenMs !== null) parts.push(`first token ${seconds(firstTokenMs)}`);
  if (tokens > 0) parts.push(`${count(tokens)} ${tokens === 1 ? "token" : "tokens"}`);
  if (!running) parts.push(...ENDS[finish]);
  return (
    <p class="figures" title={running ? undefined : stats.model}>
      {parts.join(" · ")}
    </p>
  );
}

const ENDS: Record<Stats["finish"], string[]> = {
  stop: [],
  length: ["ended at the token limit"],
  stopped: ["stopped"],
  interrupted: ["broken off"],
};

function Failed({ error, conversation, last }: { error: { kind: string; message: string }; conversation: Conversation; last: boolean }) {
  const now = model.ready.value;
  const smaller = error.kind === "memory" && now ? model.smallerContext(now.info.memory.contextLength) : null;
  const reload = async (tokens: number) => {
    if (!now) return;
    model.contextLength.value = tokens;
    await model.load(now.choice);
    if (model.ready.value) await chat.regenerate(conversation);
  };
  return (
    <div class="failed" role="alert">
      <Icon name="warning" />
      <p>{error.message}</p>
      {last && (
        <div class="buttons">
          {smaller && (
            <button type="button" class="solid" onClick={() => orSay(reload(smaller))}>
              Try with a context of {count(smaller)}
            </button>
          )}
          <button type="button" class="plain" disabled={!canAnswer.value} onClick={() => orSay(chat.regenerate(conversation))}>
            Try again
          </button>
        </div>
      )}
    </div>
  );
}
