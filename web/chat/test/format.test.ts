import { expect, it } from "vitest";
import { age, bytes, perSecond, seconds } from "../src/format";

it.each<[number, string]>([
  [0, "0 bytes"],
  [999, "999 bytes"],
  [1500, "1.5 kB"],
  [98_362_432, "98 MB"],
  [999_600_000, "1.0 GB"],
  [1_100_000_000, "1.1 GB"],
])("%d is %s", (value, text) => expect(bytes(value)).toBe(text));

it("shows times and speeds with two or three digits", () => {
  expect([80, 1_200, 12_000, 180_000].map(seconds)).toEqual(["0.08 s", "1.2 s", "12 s", "3 min"]);
  expect([0.21, 9.96, 48.6].map(perSecond)).toEqual(["0.2", "10", "49"]);
});

it("groups by day, not by hours", () => {
  const now = new Date(2026, 5, 15, 0, 30).getTime();
  expect(age(now - 10 * 60_000, now)).toBe("Today");
  expect(age(now - 60 * 60_000, now)).toBe("Yesterday");
  expect(age(now - 4 * 86_400_000, now)).toBe("This week");
  expect(age(new Date(2026, 1, 3).getTime(), now)).toBe("February 2026");
});
