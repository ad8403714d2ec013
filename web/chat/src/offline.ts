// The page's side of its service worker.

import { signal } from "@preact/signals";
import { notify } from "./notices";
import { ALLOWED_CACHE, ALLOWED_KEY } from "./offline-names";

/** Whether the page is kept here for a visit without network. */
export const keptOffline = signal(false);
/** A newer page is here and waits. */
export const update = signal<ServiceWorker | null>(null);

export async function startOffline(): Promise<void> {
  // While developing there is no service worker; over plain http there can't be one.
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const container = navigator.serviceWorker;
  container.addEventListener("message", ({ data, ports }) => {
    if (data === "which version?") ports[0]?.postMessage(import.meta.url);
  });
  // Messages are kept back until this is called, or the page has come whole.
  container.startMessages();
  watchUpdates(container);
  try {
    const registration = await container.register("sw.js", { updateViaCache: "none" });
    const look = () => {
      if (registration.waiting && container.controller) update.value = registration.waiting;
    };
    look();
    registration.addEventListener("updatefound", () => {
      registration.installing?.addEventListener("statechange", look);
    });
    const ready = await container.ready;
    ready.active?.postMessage("opened");
    keptOffline.value = true;
  } catch {
    // Private windows: the page works, and needs the network each time.
  }
}

/** The tab in which the update was asked for. */
let updating = false;

/** Other tabs go on with what they have, since an answer may be running there, and are told. */
function watchUpdates(container: ServiceWorkerContainer): void {
  let controlled = container.controller !== null;
  container.addEventListener("controllerchange", () => {
    if (updating) return location.reload();
    update.value = null;
    // The first one takes over a page of its own version.
    if (controlled) {
      notify("Another tab updated this page. Reload this one when it suits you.", {
        stays: true,
        action: { label: "Reload", run: () => location.reload() },
      });
    }
    controlled = true;
  });
}

export function useUpdate(): void {
  updating = true;
  update.value?.postMessage("activate");
}

/** Whether this visit could contact a host of the user's choice at all. */
export const canAllow = (): boolean => navigator.serviceWorker?.controller != null;

export async function allowedHosts(): Promise<string[]> {
  const entry = await (await caches.open(ALLOWED_CACHE)).match(ALLOWED_KEY);
  return entry ? ((await entry.json()) as string[]) : [];
}

/** From the next load of the page on, its service worker lets these be contacted as well. */
export async function setAllowedHosts(origins: string[]): Promise<void> {
  const cache = await caches.open(ALLOWED_CACHE);
  await cache.put(ALLOWED_KEY, Response.json([...new Set(origins)]));
}
