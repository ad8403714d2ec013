import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { allowedSources } from "../address";
import { orSay } from "../notices";
import { allowedHosts, keptOffline, setAllowedHosts } from "../offline";
import { Dialog } from "./Dialog";
import { Icon, IconButton } from "./icons";

export function Privacy() {
  return (
    <Dialog name="privacy" title="Nothing you type leaves this device">
      <p>
        The model runs here, in this tab, on your graphics card. Conversations are kept in this browser, and nowhere else.
        There is no account, no server and no counting of visits.
      </p>
      <p>
        You need not take our word for it. The page carries a content-security policy, and your browser enforces it: the
        page, and the worker that computes, can contact these and nobody else.
      </p>
      <Hosts />
      <Probe />
      <p class="faint">
        {keptOffline.value
          ? "This page is kept for visits without network: cut the connection, and it goes on working."
          : "This page could not be kept for visits without network."}{" "}
        Links in answers lead elsewhere only if you follow them.
      </p>
    </Dialog>
  );
}

function Hosts() {
  const mine = useSignal<string[]>([]);
  useEffect(() => orSay(allowedHosts().then((hosts) => void (mine.value = hosts))), []);
  const sources = allowedSources();
  if (!sources) return <p class="problem">This is a development server: no policy is in force.</p>;
  const forget = async (host: string) => {
    await setAllowedHosts(mine.value.filter((one) => one !== host));
    location.reload();
  };
  return (
    <ul class="hosts">
      {sources.map((source) => (
        <li key={source}>
          <code>{source === "'self'" ? location.origin : source}</code>
          <span class="faint">
            {source === "'self'" ? "this page’s own files" : mine.value.includes(source) ? "allowed by you" : "models"}
          </span>
          {mine.value.includes(source) && <IconButton icon="trash" label={`Forget ${source}`} onClick={() => orSay(forget(source))} />}
        </li>
      ))}
    </ul>
  );
}

type Outcome = "untried" | "trying" | "refused" | "sent";

/** Tries to send something to a stranger, and shows what the browser does about it. */
function Probe() {
  const outcome = useSignal<Outcome>("untried");
  const attempt = async () => {
    outcome.value = "trying";
    let refused = false;
    const onRefusal = () => void (refused = true);
    document.addEventListener("securitypolicyviolation", onRefusal);
    await fetch("https://example.com/?a-message-of-yours", { mode: "no-cors" }).catch(() => undefined);
    // The event is sent a moment after the fetch has failed.
    await new Promise((resolve) => setTimeout(resolve, 100));
    document.removeEventListener("securitypolicyviolation", onRefusal);
    outcome.value = refused ? "refused" : "sent";
  };
  return (
    <div class="probe">
      <button type="button" class="plain" onClick={() => void attempt()} disabled={outcome.value === "trying"}>
        Try to send something out
      </button>
      <p role="status">
        {outcome.value === "refused" && (
          <>
            <Icon name="done" /> Your browser refused to contact example.com.
          </>
        )}
        {outcome.value === "sent" && (
          <>
            <Icon name="warning" /> Your browser did not refuse it: no policy is in force.
          </>
        )}
      </p>
    </div>
  );
}
