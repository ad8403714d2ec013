// Addresses of models, and whether this page may contact them.

/** The sources that `connect-src` of the page's policy names; none while developing. */
export function allowedSources(): string[] | null {
  const meta = document.querySelector<HTMLMetaElement>("meta[http-equiv='Content-Security-Policy']");
  return meta ? sourcesOf(meta.content) : null;
}

export function sourcesOf(policy: string): string[] {
  const directive = policy.split(";").find((part) => part.trim().startsWith("connect-src"));
  return directive?.trim().split(/\s+/).slice(1) ?? [];
}

/** Whether a policy's sources cover an address, as browsers decide it for the forms we write. */
export function covers(sources: string[], url: URL, own: string): boolean {
  return sources.some((source) => {
    if (source === "'self'") return url.origin === own;
    const wild = /^(https?:)\/\/\*\.(.+)$/.exec(source);
    if (wild) return url.protocol === wild[1] && url.host.endsWith(`.${wild[2]}`);
    return source === url.origin;
  });
}

/** What was typed or pasted, as an address of a model's file; an error is one sentence. */
export function parseAddress(typed: string, base: string): URL {
  let text = typed.trim();
  if (/^[\w-]+(\.[\w-]+)+(:\d+)?\//.test(text)) text = `https://${text}`;
  let url: URL;
  try {
    url = new URL(text, /^(\.{0,2}\/|[a-z]+:)/i.test(text) ? base : undefined);
  } catch {
    throw new Error("This is not an address: it should look like https://host/model.gguf.");
  }
  const local = url.hostname === "localhost" || url.hostname === "127.0.0.1";
  if (url.protocol !== "https:" && !(url.protocol === "http:" && (local || url.origin === new URL(base).origin))) {
    throw new Error(`The address begins with “${url.protocol}”: only https addresses can be fetched.`);
  }
  // A hub's page about a file: its bytes are one word away.
  url.pathname = url.pathname.replace(/^(\/[^/]+\/[^/]+)\/blob\//, "$1/resolve/");
  url.hash = "";
  return url;
}

export function fileName(url: string): string {
  const last = url.split(/[?#]/)[0]?.split("/").at(-1) || url;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}
