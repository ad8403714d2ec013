import type { Support } from "wisp-llm";
import { asSentence } from "../notices";
import { Icon } from "./icons";

/** What each browser needs; the reader's own comes first. */
const BROWSERS = [
  { name: "Chrome", is: /Chrome\/(?!.*Edg|.*OPR)/, text: "Version 127 or later on Windows, macOS, ChromeOS and Android; 144 on Linux. If it is new enough, look at chrome://gpu for “WebGPU: Disabled”, switch on “Use graphics acceleration when available” in Settings → System, and start Chrome again." },
  { name: "Edge", is: /Edg/, text: "Version 127 or later. Switch on “Use graphics acceleration when available” in Settings → System and performance, and start Edge again." },
  { name: "Safari", is: /Version\/.*Safari/, text: "Version 26 or later, on macOS, iOS, iPadOS and visionOS 26. Before that, WebGPU is off." },
  { name: "Firefox", is: /Firefox/, text: "Version 141 or later on Windows, 145 on macOS with an Apple processor. Elsewhere set dom.webgpu.enabled to true in about:config, where your version has it." },
] as const;

export function Unsupported({ support }: { support: Extract<Support, { ok: false }> }) {
  const agent = navigator.userAgent;
  const sorted = [...BROWSERS].sort((a, b) => Number(b.is.test(agent)) - Number(a.is.test(agent)));
  return (
    <div class="welcome">
      <div class="column unsupported">
        <Icon name="chip" />
        <h2>{asSentence(support.message).replace(/\.$/, "")}</h2>
        <p class="lead">{asSentence(support.advice)}</p>
        {(support.kind === "no-webgpu" || support.kind === "no-adapter") && (
          <>
            <h3>What browsers need</h3>
            <dl>
              {sorted.map(({ name, is, text }) => (
                <div key={name} data-own={is.test(agent)}>
                  <dt>
                    {name} {is.test(agent) && <span class="tag">this browser</span>}
                  </dt>
                  <dd>{text}</dd>
                </div>
              ))}
            </dl>
          </>
        )}
        <div class="buttons">
          <button type="button" class="solid" onClick={() => location.reload()}>
            Look again
          </button>
        </div>
      </div>
    </div>
  );
}
