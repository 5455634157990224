// The six charts, which share one time axis and one cursor.

import { Chart } from "./chart.js";
import { byId, say } from "./dom.js";
import { WINDOW_MS } from "./figures.js";
import { clock, count, number, seconds, share } from "./format.js";

const perSecond = (value) => [number(value), typeof value === "number" ? "/s" : ""];

const CHARTS = [
  {
    title: "Throughput", format: perSecond, least: 1,
    series: [{ key: "answered", label: "answered", ink: "a", isArea: true }, { key: "failed", label: "failed", ink: "bad" }],
  },
  {
    title: "Latency", format: seconds, least: 0.001,
    series: [{ key: "p50", label: "p50", ink: "a" }, { key: "p95", label: "p95", ink: "b" }, { key: "p99", label: "p99", ink: "c" }],
  },
  {
    title: "Queue wait", format: seconds, least: 0.001,
    series: [{ key: "wait", label: "mean", ink: "a", isArea: true }],
  },
  {
    title: "Rows per batch", format: (value) => [number(value), ""], least: 2,
    series: [{ key: "rows", label: "mean", ink: "a", isArea: true }],
  },
  {
    title: "Padding", format: share, least: 0.1, most: 1,
    series: [{ key: "padding", label: "of tokens", ink: "a", isArea: true }],
  },
  {
    title: "Tokens queued", format: (value) => [count(value), ""], least: 10,
    series: [{ key: "queuedTokens", label: "now", ink: "a", isArea: true }],
  },
];

export class Charts {
  constructor() {
    const onMark = (at, pointedAt) => this.charts.forEach((chart) => chart.mark(at, pointedAt));
    this.charts = CHARTS.map((chart) => new Chart({ ...chart, onMark }));
    byId("chart-grid").append(...this.charts.map(({ node }) => node));
  }

  draw(history, now) {
    this.charts.forEach((chart) => chart.draw(history.points, now));
    const first = history.points[0];
    const since = first ? `since ${clock(first.at)}, ` : "";
    say(byId("charts-note"), `${since}each point covers ${WINDOW_MS / 1000}\u202fs`);
  }
}
