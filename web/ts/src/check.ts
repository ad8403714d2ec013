// Checks of what a caller passed. Each gives the value, or `undefined` where there is none;
// a wrong one is an error that says what was wrong with which field.

import { WispError } from "./error.js";

export function wrong(field: string, value: unknown, must: string): WispError {
  return new WispError("input", `${field} is ${shown(value)}; it must be ${must}`);
}

export function number(field: string, value: unknown, least: number, most: number): number | undefined {
  if (value == null) return undefined;
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw wrong(field, value, `a number from ${least} to ${most}`);
}

export function integer(
  field: string,
  value: unknown,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number | undefined {
  if (value == null) return undefined;
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw wrong(field, value, most === Number.MAX_SAFE_INTEGER ? `a whole number, ${least} or more` : `a whole number from ${least} to ${most}`);
}

export function text(field: string, value: unknown): string | undefined {
  if (value == null) return undefined;
  if (typeof value === "string") return value;
  throw wrong(field, value, "a text");
}

export function choice<const T>(field: string, value: unknown, choices: T[]): T | undefined {
  if (value == null) return undefined;
  if (choices.includes(value as T)) return value as T;
  throw wrong(field, value, choices.map((one) => shown(one)).join(", ").replace(/, ([^,]*)$/, " or $1"));
}

export function record(field: string, value: unknown): Record<string, unknown> | undefined {
  if (value == null) return undefined;
  if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong(field, value, "an object");
}

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "function") return "a function";
  const json = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}
