// Light or dark: the system's choice unless the reader made one. All colours are `light-dark()`.

import { signal } from "@preact/signals";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "wisp-theme";

function kept(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === value) ?? "system";
  } catch {
    return "system";
  }
}

export const theme = signal<Theme>(kept());

export function applyTheme(): void {
  document.documentElement.dataset.theme = theme.value;
}

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system";
  applyTheme();
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // It holds for this visit.
  }
}
