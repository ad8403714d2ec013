// What is open on the page.

import { signal } from "@preact/signals";

export type DialogName = "models" | "settings" | "privacy";

export const dialog = signal<DialogName | null>(null);
/** The list of conversations, where it lies over the page (narrow windows). */
export const drawer = signal(false);
/** What the box for messages holds. */
export const draft = signal("");

export function focusComposer(): void {
  // After the render that follows.
  requestAnimationFrame(() => document.getElementById("message")?.focus());
}

export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export async function pickFiles(accept: string, multiple = true): Promise<File[]> {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = accept;
  input.multiple = multiple;
  return new Promise((resolve) => {
    input.addEventListener("change", () => resolve([...(input.files ?? [])]));
    input.addEventListener("cancel", () => resolve([]));
    input.click();
  });
}
