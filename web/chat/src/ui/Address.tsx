import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { allowedSources, covers, fileName, parseAddress } from "../address";
import type * as model from "../model";
import { orSay, sentence } from "../notices";
import { allowedHosts, canAllow, setAllowedHosts } from "../offline";
import { Fit } from "./Fit";
import { loadNow } from "./Models";

/** What survives the reload that a new host needs. */
const PENDING = "wisp-pending-address";

// Where the browser keeps nothing for this page, even asking is an error.
export function hasPending(): boolean {
  try {
    return sessionStorage.getItem(PENDING) !== null;
  } catch {
    return false;
  }
}

function takePending(): string | null {
  if (!hasPending()) return null;
  const pending = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  return pending;
}

function setPending(address: string): void {
  try {
    sessionStorage.setItem(PENDING, address);
  } catch {
    // It has to be typed once more after the reload.
  }
}

/** A model by its address, if the page's policy lets it be fetched. */
export function Address() {
  const typed = useSignal("");
  const url = useSignal<URL | null>(null);
  const problem = useSignal("");
  const take = () => {
    try {
      url.value = parseAddress(typed.value, document.baseURI);
      problem.value = "";
    } catch (error) {
      url.value = null;
      problem.value = sentence(error);
    }
  };
  useEffect(() => {
    const pending = takePending();
    if (!pending) return;
    typed.value = pending;
    take();
  }, []);
  return (
    <>
      <form
        class="address"
        onSubmit={(event) => {
          event.preventDefault();
          take();
        }}
      >
        <input
          class="field"
          aria-label="Address of a GGUF file"
          aria-invalid={problem.value !== ""}
          aria-describedby="address-problem"
          inputMode="url"
          placeholder="https://host/model.gguf"
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
            url.value = null;
            problem.value = "";
          }}
        />
        <button type="submit" class="plain" disabled={typed.value.trim() === ""}>
          Look
        </button>
      </form>
      <p id="address-problem" class="problem" role="alert">
        {problem.value}
      </p>
      {url.value && <Found url={url.value} key={url.value.href} />}
    </>
  );
}

function Found({ url }: { url: URL }) {
  const sources = allowedSources();
  if (sources && !covers(sources, url, location.origin)) return <Refused url={url} />;
  const name = fileName(url.href).replace(/\.gguf$/i, "");
  const choice: model.Choice = { name, source: { url: url.href } };
  return (
    <div class="model">
      <strong>{name}</strong>
      <Fit choice={choice} asked />
      <div class="buttons">
        <button type="button" class="solid" onClick={() => loadNow(choice)}>
          Download
        </button>
      </div>
    </div>
  );
}

function Refused({ url }: { url: URL }) {
  const allow = async () => {
    await setAllowedHosts([...(await allowedHosts()), url.origin]);
    setPending(url.href);
    location.reload();
  };
  return (
    <div class="model">
      <p>
        This page may not contact <strong>{url.host}</strong>: its policy names the hosts of its own models only. Download
        the file in another tab and drop it here
        {canAllow() ? ", or allow this host and load the page again." : "."}
      </p>
      <div class="buttons">
        <a class="plain" href={url.href} target="_blank" rel="noopener noreferrer">
          Download in a tab
        </a>
        {canAllow() && (
          <button type="button" class="solid" onClick={() => orSay(allow())}>
            Allow and reload
          </button>
        )}
      </div>
    </div>
  );
}
