// The service worker: the page without a network, and its policy as a header.
// It keeps the page's own files only; models are in the package's private storage.

/// <reference lib="webworker" />
import { ALLOWED_CACHE, ALLOWED_KEY } from "./offline-names";

declare const self: ServiceWorkerGlobalScope;
/** Put in by the build: all files of the page, a hash of them, and the page's policy. */
declare const __FILES__: string[];
declare const __VERSION__: string;
declare const __POLICY__: string;

const scope = new URL(self.registration.scope);
/** Another copy of the page may be served under another path of this host. */
const OURS = `wisp-page-${scope.pathname}-`;
const CACHE = OURS + __VERSION__;

self.addEventListener("install", (event) => {
  const fresh = __FILES__.map((file) => new Request(new URL(file, scope), { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(self.clients.claim());
});

self.addEventListener("message", (event) => {
  // The page says when: never under a running answer.
  if (event.data === "activate") void self.skipWaiting();
  // A page was opened, so one of an older version may have been closed.
  if (event.data === "opened") event.waitUntil(dropUnused());
});

/** Older versions of the page, of this path of this host. */
const older = async (): Promise<string[]> =>
  (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== CACHE);

/** Removes the files of older versions that no tab runs any more. */
async function dropUnused(): Promise<void> {
  const names = await older();
  if (names.length === 0) return;
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const scripts = await Promise.all(pages.map(scriptOf));
  // A page that does not tell which version it runs may run any of them.
  if (scripts.includes(null)) return;
  for (const name of names) {
    const cache = await caches.open(name);
    const used = await Promise.all(scripts.map((script) => cache.match(script as string)));
    if (used.every((found) => found === undefined)) await caches.delete(name);
  }
}

/** The address of a page's own script, whose name has a hash: that tells its version. */
function scriptOf(page: Client): Promise<string | null> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<unknown>) => resolve(typeof data === "string" ? data : null);
    setTimeout(() => resolve(null), 2000);
    page.postMessage("which version?", [port2]);
  });
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== scope.origin) return;
  if (!url.pathname.startsWith(scope.pathname)) return;
  const file = url.pathname.slice(scope.pathname.length);
  if (request.mode === "navigate" && (file === "" || file === "index.html")) {
    event.respondWith(page(request));
  } else if (file === "models.json") {
    event.respondWith(freshFirst(request));
  } else if (__FILES__.includes(file)) {
    event.respondWith(kept(request, file));
  } else if (file.startsWith("assets/")) {
    event.respondWith(outlived(request, file));
  }
});

async function kept(request: Request, file: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  return (await cache.match(new URL(file, scope))) ?? fetch(request);
}

/** A tab that has not been loaded since an update asks for files that only its version had. */
async function outlived(request: Request, file: string): Promise<Response> {
  for (const name of await older()) {
    const found = await (await caches.open(name)).match(new URL(file, scope));
    if (found) return found;
  }
  return fetch(request);
}

/** Whoever hosts the page may change this one file. */
async function freshFirst(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(new URL("models.json", scope), response.clone());
    if (response.ok) return response;
  } catch {
    // Offline: what was there last time.
  }
  return (await cache.match(new URL("models.json", scope))) ?? Response.error();
}

/** The page with its policy, as wide as the person at the keyboard made it. */
async function page(request: Request): Promise<Response> {
  const response = await kept(request, "index.html");
  const html = await response.text();
  const extra = await allowed();
  // In the page's attribute the quotes are written as entities.
  const wider = (text: string) =>
    text.replace(/connect-src ('|&#39;)self\1/, (own) => [own, ...extra].join(" "));
  return new Response(wider(html), {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": wider(__POLICY__),
      "referrer-policy": "no-referrer",
    },
  });
}

async function allowed(): Promise<string[]> {
  const entry = await (await caches.open(ALLOWED_CACHE)).match(new URL(ALLOWED_KEY, scope));
  const origins: unknown = entry ? await entry.json() : [];
  const sound = (origin: unknown): origin is string =>
    typeof origin === "string" && /^https?:\/\/[\w.:[\]-]+$/.test(origin);
  return Array.isArray(origins) ? origins.filter(sound) : [];
}
