// What the page and its service worker call the hosts that a person allowed.

export const ALLOWED_CACHE = "wisp-allowed";
export const ALLOWED_KEY = "allowed.json";
