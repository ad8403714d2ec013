// Checks of what a caller passed. Each gives the value, or `undefined` where there is none;
// a wrong one is an error that says what was wrong with which field.

import { WispError } from "./error.js";

/** The largest number of 32 bits. */
export const U32 = 2 ** 32 - 1;

export function wrong(field: string, value: unknown, must: string): WispError {
  return new WispError("input", `${field} is ${shown(value)}; it must be ${must}`);
}

export function integer(
  field: string,
  value: unknown,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number | undefined {
  if (value == null) return undefined;
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  const above = typeof value === "number" && value > most;
  throw wrong(field, value, most >= U32 && !above ? `a whole number, ${least} or more` : `a whole number from ${least} to ${most}`);
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

/** Ids of tokens: more than 32 bits would be cut off on their way. */
export function tokenIds(field: string, value: unknown): number[] {
  const list = typeof value === "object" && value !== null && "length" in value ? Array.from(value as ArrayLike<unknown>) : undefined;
  const wrongOne = list?.find((id) => !Number.isInteger(id) || (id as number) < 0 || (id as number) > U32);
  if (list && wrongOne === undefined) return list as number[];
  throw wrong(field, wrongOne ?? value, "a token id, a whole number from 0 on");
}

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "function") return "a function";
  const json = typeof value === "number" || typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? String(value));
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}
