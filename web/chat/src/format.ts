// Numbers as people read them.

const whole = new Intl.NumberFormat("en");

export const count = (value: number): string => whole.format(value);

/** Decimal units, as browsers and hubs show them. */
export function bytes(value: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : unit < 3 && value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

export function seconds(milliseconds: number): string {
  const value = milliseconds / 1000;
  if (value < 9.95) return `${value.toFixed(value < 0.995 ? 2 : 1)} s`;
  if (value < 99.5) return `${value.toFixed(0)} s`;
  return `${Math.round(value / 60)} min`;
}

export function perSecond(value: number): string {
  return value.toFixed(value < 9.95 ? 1 : 0);
}

/** “Today”, “Yesterday”, … : the headings of the list of conversations. */
export function age(then: number, now: number): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (then >= midnight) return "Today";
  if (then >= midnight - 86_400_000) return "Yesterday";
  if (then >= midnight - 6 * 86_400_000) return "This week";
  return new Date(then).toLocaleDateString("en", { month: "long", year: "numeric" });
}
