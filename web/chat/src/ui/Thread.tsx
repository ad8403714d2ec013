import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import * as chat from "../chat";
import type { Conversation } from "../schema";
import { nextSentences, toMessage } from "../stream";
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
      <Announcer text={live?.text ?? null} lost={live?.lost === true} />
    </div>
  );
}

/** Tells a screen reader the answer sentence by sentence, as it is written. */
function Announcer({ text, lost }: { text: string | null; lost: boolean }) {
  const said = useRef({ text: "", until: 0 });
  const say = useSignal("");
  useEffect(() => {
    const over = text === null;
    if (!over && said.current.until === 0 && text === "") say.value = "Wisp is answering.";
    const next = nextSentences(over ? said.current.text : text, said.current.until, over);
    if (next.say) say.value = next.say;
    said.current = over ? { text: "", until: 0 } : { text, until: next.said };
  }, [text]);
  return (
    <div class="unseen" aria-live="polite" aria-atomic="true">
      {lost ? "The graphics card was reset. Wisp is setting it up again." : say.value}
    </div>
  );
}
