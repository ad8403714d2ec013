import { useLayoutEffect, useRef } from "preact/hooks";
import * as chat from "../chat";
import * as model from "../model";
import { orSay } from "../notices";
import { Icon } from "./icons";
import { isPlainEnter } from "./keys";
import { dialog, draft, focusComposer } from "./shell";

export function Composer() {
  const box = useRef<HTMLTextAreaElement>(null);
  const ready = model.ready.value;
  const running = chat.live.value !== null;
  const canSend = ready !== null && !running && draft.value.trim() !== "";

  // As high as its text.
  useLayoutEffect(() => {
    const { current } = box;
    if (!current) return;
    current.style.height = "auto";
    current.style.height = `${current.scrollHeight}px`;
  }, [draft.value]);

  const send = () => {
    const text = draft.value.trim();
    if (!canSend) return;
    draft.value = "";
    orSay(chat.send(text));
    focusComposer();
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="composer-box">
        <textarea
          id="message"
          ref={box}
          rows={1}
          aria-label="Message"
          placeholder="Ask something"
          value={draft.value}
          onInput={(event) => (draft.value = event.currentTarget.value)}
          onKeyDown={(event) => {
            if (!isPlainEnter(event)) return;
            event.preventDefault();
            send();
          }}
        />
        {running ? (
          <button
            type="button"
            class="round"
            aria-label="Stop"
            title="Stop (Escape)"
            onClick={() => {
              chat.stop();
              focusComposer();
            }}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="round" aria-label="Send" title="Send (Enter)" disabled={!canSend}>
            <Icon name="send" />
          </button>
        )}
      </div>
      <Footer />
    </form>
  );
}

/** Which adapter really computes, and the promise that can be looked into. */
function Footer() {
  const info = model.ready.value?.info;
  return (
    <p class="footer">
      {info && (
        <button type="button" class="link" onClick={() => (dialog.value = "models")}>
          {adapterName(info)} · {info.variant}
        </button>
      )}
      <button type="button" class="link" onClick={() => (dialog.value = "privacy")}>
        <Icon name="shield" /> Nothing you type leaves this device
      </button>
    </p>
  );
}

export function adapterName({ adapter }: { adapter: { name: string; vendor: string; architecture: string } }): string {
  const name = adapter.name || [adapter.vendor, adapter.architecture].filter(Boolean).join(" ") || "unnamed GPU";
  return model.software.value ? `${name} (software, on the processor)` : name;
}
