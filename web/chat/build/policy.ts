// The page's content-security policy, written once: for the meta tag (all hosts of static
// files), for the service worker's header and for the README.

/** Origins that a list of models may be fetched from. Relative addresses are the page's own. */
export function modelOrigins(list: { models: { url: string }[]; redirects?: string[] }): string[] {
  const absolute = list.models.map((model) => model.url).filter((url) => /^https?:/.test(url));
  return [...new Set([...absolute.map((url) => new URL(url).origin), ...(list.redirects ?? [])])];
}

/** `default-src 'none'` first: what is not named below is refused. */
export function policy(origins: string[]): string {
  return [
    "default-src 'none'",
    // WebAssembly needs a word of its own; there is no eval and no inline script.
    "script-src 'self' 'wasm-unsafe-eval'",
    // The engine's worker starts from a blob, which makes it inherit this policy (src/worker.ts).
    "worker-src 'self' blob:",
    "style-src 'self'",
    "font-src 'self'",
    // No images of others: an answer could carry text out in an image's address.
    "img-src 'self'",
    "manifest-src 'self'",
    ["connect-src 'self'", ...origins].join(" "),
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** What a meta tag cannot say and a header can. */
export const HEADER_ONLY = "frame-ancestors 'none'";
