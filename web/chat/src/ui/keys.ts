// Keys whose meaning depends on more than their name.

/**
 * Enter that sends: without Shift, and not the one that takes what an input method offers. Safari
 * ends the composition before it tells of that key, and then only the old code 229 gives it away.
 */
export const isPlainEnter = (event: KeyboardEvent): boolean =>
  event.key === "Enter" && !event.shiftKey && !isComposing(event);

export const isComposing = (event: KeyboardEvent): boolean => event.isComposing || event.keyCode === 229;
