// A line chart over the last minutes: crisp at any width, read by eye, pointer or keyboard.

import { element, say, shape } from "./dom.js";
import { GAP_MS, SPAN_MS } from "./figures.js";
import { clock, joined, short } from "./format.js";

const HEIGHT = 148;
const MARGIN = { top: 10, right: 10, bottom: 20, left: 48 };
const MINUTE_MS = 60_000;
// Ends of the vertical axis, whose halves are round too.
const ROUND = [1, 2, 4, 6, 8, 10];

// The end of an axis that holds all values: round, and never zero.
const roundEnd = (largest) => {
  const power = 10 ** Math.floor(Math.log10(largest));
  return power * ROUND.find((step) => largest <= step * power * 1.0001);
};

// One of: { key, label, ink: "a" | "b" | "c", isArea }.
export class Chart {
  // `format` makes [value, unit]; `least` is what the axis reaches even when nothing happens; `onMark` is told which
  // time a person looks at.
  constructor({ title, series, format, least, most = Infinity, onMark }) {
    Object.assign(this, { title, series, format, least, most, onMark, points: [], now: 0, markedAt: null, width: 0 });
    this.values = series.map(() => element("b"));
    const legend = series.map(({ label, ink }, index) => element("li", {},
      element("span", { class: `key ink-${ink}`, "aria-hidden": "true" }), element("span", { text: label }), this.values[index]));
    this.drawing = shape("svg", { "aria-hidden": "true", height: HEIGHT });
    this.tip = element("div", { class: "tip", "aria-hidden": "true", hidden: true });
    this.plot = element("div", {
      class: "plot", role: "slider", tabindex: "0", "aria-orientation": "horizontal",
      "aria-label": `${title}, last 5 minutes`, "aria-valuemin": "-300", "aria-valuemax": "0",
      on: {
        pointermove: (event) => this.lookAt(event.offsetX),
        pointerdown: (event) => this.lookAt(event.offsetX),
        pointerleave: () => this.onMark(null, null),
        blur: () => this.onMark(null, null),
        keydown: (event) => this.step(event),
      },
    }, this.drawing, this.tip);
    this.node = element("figure", { class: "chart" },
      element("figcaption", {}, element("h3", { text: title }), element("ul", { class: "legend" }, legend)), this.plot);
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.draw(this.points, this.now);
    }).observe(this.plot);
  }

  // Draws the points up to a time, in milliseconds.
  draw(points, now) {
    Object.assign(this, { points, now });
    if (this.width === 0) return;
    const all = points.flatMap((point) => this.series.map(({ key }) => point[key] ?? 0));
    this.end = Math.min(roundEnd(Math.max(this.least, ...all)), this.most);
    this.drawing.setAttribute("width", this.width);
    this.drawing.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.drawing.replaceChildren(...this.axes(), ...this.series.flatMap((series) => this.line(series)), this.cursor());
    this.tell();
  }

  // Marks a time in this chart; `chart` is the one that a person points at.
  mark(at, chart) {
    this.markedAt = at;
    this.isPointedAt = chart === this;
    this.draw(this.points, this.now);
  }

  x(at) {
    const inner = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + inner * (1 - (this.now - at) / SPAN_MS);
  }

  y(value) {
    const inner = HEIGHT - MARGIN.top - MARGIN.bottom;
    return MARGIN.top + inner * (1 - value / this.end);
  }

  axes() {
    const right = this.width - MARGIN.right;
    const levels = [0, 0.5, 1].flatMap((part) => {
      const y = Math.round(this.y(this.end * part)) + 0.5;
      return [
        shape("line", { class: part === 0 ? "base" : "grid", x1: MARGIN.left, x2: right, y1: y, y2: y }),
        shape("text", { x: MARGIN.left - 8, y: y + 3.5, "text-anchor": "end" }, short(this.format(this.end * part))),
      ];
    });
    const minutes = [5, 4, 3, 2, 1, 0].map((minute) => shape("text", {
      x: this.x(this.now - minute * MINUTE_MS), y: HEIGHT - 4,
      "text-anchor": minute === 0 ? "end" : minute === 5 ? "start" : "middle",
    }, minute === 0 ? "now" : minute === 5 ? "−5\u202fmin" : `−${minute}`));
    return [...levels, ...minutes];
  }

  // Broken where nobody looked, or where there was nothing to measure.
  line({ key, ink, isArea }) {
    const runs = [];
    let before = null;
    for (const point of this.points) {
      const value = point[key];
      const isSeen = this.now - point.at <= SPAN_MS;
      if (value === null || value === undefined || !isSeen) { before = null; continue; }
      if (before === null || point.at - before > GAP_MS) runs.push([]);
      runs.at(-1).push(`${this.x(point.at).toFixed(1)},${this.y(Math.min(value, this.end)).toFixed(1)}`);
      before = point.at;
    }
    const lines = runs.map((run) => `M${run.join("L")}${run.length === 1 ? "h.1" : ""}`).join("");
    const base = this.y(0).toFixed(1);
    const areas = runs.map((run) => `M${run[0].split(",")[0]},${base}L${run.join("L")}V${base}Z`).join("");
    return [
      isArea && areas ? shape("path", { class: `area ink-${ink}`, d: areas }) : null,
      lines ? shape("path", { class: `line ink-${ink}`, d: lines }) : null,
    ].filter(Boolean);
  }

  // The point next to what a person looks at, or the latest.
  get marked() {
    if (this.markedAt === null) return this.points.at(-1) ?? null;
    const distance = ({ at }) => Math.abs(at - this.markedAt);
    return this.points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
  }

  cursor() {
    const point = this.markedAt === null ? null : this.marked;
    if (!point) return shape("g");
    const x = this.x(point.at);
    const dots = this.series.filter(({ key }) => point[key] !== null).map(({ key, ink }) =>
      shape("circle", { class: `dot ink-${ink}`, cx: x, cy: this.y(Math.min(point[key], this.end)), r: 3.5 }));
    return shape("g", {}, shape("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }), dots);
  }

  // Legend, tooltip, and what screen readers hear.
  tell() {
    const point = this.marked;
    const told = this.series.map(({ key, label }) => [label, joined(this.format(point?.[key]))]);
    told.forEach(([, value], index) => say(this.values[index], value));
    const seconds = point ? Math.round((point.at - this.now) / 1000) : 0;
    this.plot.setAttribute("aria-valuenow", seconds);
    const words = told.map(([label, value]) => `${label} ${value}`).join(", ");
    this.plot.setAttribute("aria-valuetext", point ? `${clock(point.at)}: ${words}` : "no figures yet");
    const isTipShown = this.isPointedAt && this.markedAt !== null && point !== null;
    this.tip.hidden = !isTipShown;
    if (!isTipShown) return;
    this.tip.replaceChildren(element("span", { class: "tip-time", text: clock(point.at) }), ...told.map(([label, value], index) =>
      element("span", {}, element("span", { class: `key ink-${this.series[index].ink}` }), label, element("b", { text: value }))));
    const x = this.x(point.at);
    this.tip.style.setProperty("--x", `${Math.round(x)}px`);
    this.tip.dataset.side = x > this.width / 2 ? "left" : "right";
  }

  lookAt(x) {
    const inner = this.width - MARGIN.left - MARGIN.right;
    const back = Math.min(Math.max(1 - (x - MARGIN.left) / inner, 0), 1);
    if (this.points.length > 0) this.onMark(this.now - back * SPAN_MS, this);
  }

  // Arrow keys go from point to point, pages by half a minute.
  step(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -30, PageUp: 30, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") return this.onMark(null, null);
    if (!(event.key in moves) || this.points.length === 0) return undefined;
    event.preventDefault();
    const index = this.points.indexOf(this.marked) + moves[event.key];
    return this.onMark(this.points[Math.min(Math.max(index, 0), this.points.length - 1)].at, this);
  }
}
