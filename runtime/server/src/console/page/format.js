// Numbers as a person reads them: three digits that matter, and a unit.

// What is shown where there is nothing to show.
export const NOTHING = "–";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

// Three significant digits, thousands apart by a thin space.
export const number = (value) => {
  if (!isNumber(value)) return NOTHING;
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  const digits = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return grouped(value.toFixed(digits));
};

// A number of things.
export const count = (value) => (isNumber(value) ? grouped(Math.round(value).toString()) : NOTHING);

const grouped = (text) => {
  const [whole, rest] = text.split(".");
  const parted = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u2009") : whole;
  return rest ? `${parted}.${rest}` : parted;
};

// A value and its unit, apart, because they are set in different sizes.
export const seconds = (value) => {
  if (!isNumber(value)) return [NOTHING, ""];
  if (value === 0) return ["0", "ms"];
  if (value < 0.001) return [number(value * 1e6), "µs"];
  if (value < 1) return [number(value * 1e3), "ms"];
  return [number(value), "s"];
};

export const bytes = (value) => {
  if (!isNumber(value)) return [NOTHING, ""];
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value < 1 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), units.length - 1);
  return [number(value / 1024 ** power), units[power]];
};

export const share = (value) => (isNumber(value) ? [number(value * 100), "%"] : [NOTHING, ""]);

// For values that stand still: without zeros that say nothing.
export const short = ([value, unit]) => joined([value.replace(/\.0+$|(\.\d*?[1-9])0+$/, "$1"), unit]);

// Both in one text.
export const joined = ([value, unit]) => (unit ? `${value}\u202f${unit}` : value);

// How long something has been going on: the two largest units.
export const age = (milliseconds) => {
  let left = Math.floor(milliseconds / 1000);
  const parts = [];
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const whole = Math.floor(left / length);
    left -= whole * length;
    if (whole > 0 || parts.length > 0) parts.push(`${whole}\u202f${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0\u202fs";
};

// The time of day, to the second.
export const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

// "1 case", "24 cases".
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;
