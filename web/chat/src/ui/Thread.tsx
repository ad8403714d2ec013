import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import * as chat from "../chat";
import type { Conversation } from "../schema";
import { type Live, nextSentences, toMessage } from "../stream";
import * as model from "../model";
import { IconButton } from "./icons";
import { Answer, Question } from "./Message";

/** This near to its end, the thread follows what is written. */
const NEAR = 80;

export function Thread({ conversation }: { conversation: Conversation }) {
  const box = useRef<HTMLDivElement>(null);
  const follows = useSignal(true);
  const live = chat.live.value?.conversation === conversation.id ? chat.live.value.answer : null;
  const { messages } = conversation;

  // A new question: down to it, wherever one was.
  useLayoutEffect(() => {
    follows.value = true;
    box.current?.scrollTo({ top: box.current.scrollHeight });
  }, [messages.length]);
  useLayoutEffect(() => {
    if (follows.value && live) box.current?.scrollTo({ top: box.current.scrollHeight });
  }, [live?.text]);

  return (
    <div class="thread-frame">
      <div
        class="thread"
        ref={box}
        role="region"
        aria-label="Messages"
        tabIndex={0}
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          follows.value = scrollHeight - scrollTop - clientHeight < NEAR;
        }}
      >
        <div class="column">
          {messages.map((message, index) =>
            message.role === "user" ? (
              <Question conversation={conversation} index={index} text={message.text} key={index} />
            ) : (
              <Answer message={message} last={index === messages.length - 1 && !live} conversation={conversation} key={index} />
            ),
          )}
          {live && <Answer message={toMessage(live, model.modelName.value ?? "")} live={live} conversation={conversation} last={false} />}
        </div>
      </div>
      {!follows.value && (
        <IconButton
          class="to-end"
          icon="down"
          label="To the end"
          onClick={() => box.current?.scrollTo({ top: box.current.scrollHeight, behavior: "smooth" })}
        />
      )}
      <Announcer live={live} last={messages.at(-1)?.text ?? ""} />
    </div>
  );
}

/** Tells a screen reader the answer sentence by sentence, as it is written. */
function Announcer({ live, last }: { live: Live | null; last: string }) {
  const said = useRef<number | null>(null);
  const say = useSignal("");
  useEffect(() => {
    if (live && said.current === null) {
      said.current = 0;
      say.value = "Wisp is answering.";
    }
    if (said.current === null) return;
    const next = nextSentences(live?.text ?? last, said.current, live === null);
    if (next.say) say.value = next.say;
    said.current = live ? next.said : null;
  }, [live]);
  return (
    <div class="unseen" aria-live="polite" aria-atomic="true">
      {live?.lost ? "The graphics card was reset. Wisp is setting it up again." : say.value}
    </div>
  );
}
