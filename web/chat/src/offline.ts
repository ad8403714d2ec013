// The page's side of its service worker.

import { signal } from "@preact/signals";
import { ALLOWED_CACHE, ALLOWED_KEY } from "./offline-names";

/** Whether the page is kept here for a visit without network. */
export const keptOffline = signal(false);
/** A newer page is here and waits. */
export const update = signal<ServiceWorker | null>(null);

export async function startOffline(): Promise<void> {
  // While developing there is no service worker; over plain http there can't be one.
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const container = navigator.serviceWorker;
  try {
    const registration = await container.register("sw.js", { updateViaCache: "none" });
    const look = () => {
      if (registration.waiting && container.controller) update.value = registration.waiting;
    };
    look();
    registration.addEventListener("updatefound", () => {
      registration.installing?.addEventListener("statechange", look);
    });
    await container.ready;
    keptOffline.value = true;
  } catch {
    // Private windows: the page works, and needs the network each time.
  }
}

/** Other tabs go on with what they have: an answer may be running there. */
export function useUpdate(): void {
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
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
