// The overview: the figures that tell whether all is well.

import { byId, element, say } from "./dom.js";
import { age, bytes, count, joined, number, seconds, share } from "./format.js";

const TILES = [
  ["rate", "Requests"],
  ["p50", "Latency p50"],
  ["p95", "Latency p95"],
  ["p99", "Latency p99"],
  ["failed", "Errors"],
  ["inflight", "In flight"],
  ["wait", "Queue wait"],
  ["memory", "Memory"],
];

export class Overview {
  constructor() {
    this.tiles = new Map(TILES.map(([key, label]) => {
      const [value, unit, hint] = [element("span", { class: "value", text: "–" }), element("span", { class: "unit" }), element("span", { class: "hint" })];
      byId("tiles").append(element("div", { class: "tile", data: { tile: key } },
        element("dt", { text: label }), element("dd", {}, element("span", { class: "reading" }, value, " ", unit), hint)));
      return [key, { value, unit, hint }];
    }));
  }

  show(figures, history, status) {
    const { now, latest } = history;
    const all = (now?.answered ?? 0) + (now?.failed ?? 0);
    this.set("rate", [number(all), "/s"], `${count(latest.answered)} answered`);
    for (const key of ["p50", "p95", "p99"]) this.set(key, seconds(now?.[key]), now?.[key] == null ? "no request" : "");
    this.set("failed", [number(now?.failed ?? 0), "/s"], all > 0 ? `${joined(share((now?.failed ?? 0) / all))} of requests` : `${count(latest.failed)} in all`);
    this.set("inflight", [count(figures.inflight_requests), ""], status ? `of ${count(status.limits.inflight_requests)} at most` : "");
    this.set("wait", seconds(now?.wait), `${count(latest.queuedTokens)} tokens wait`);
    this.set("memory", bytes(figures.resident_bytes), "resident");
    this.tiles.get("failed").value.closest(".tile").dataset.bad = String((now?.failed ?? 0) > 0);
    if (status) say(byId("facts"), `${status.version} · ${status.build} build · ${status.platform} · up ${age(figures.uptime_ms)}`);
    this.warn(figures.problems);
  }

  set(key, [value, unit], hint) {
    const tile = this.tiles.get(key);
    say(tile.value, value);
    say(tile.unit, unit);
    say(tile.hint, hint);
  }

  warn(problems) {
    const list = byId("problems");
    const told = problems.map(({ deployment, problem }) => `${deployment}: ${problem}`);
    const before = [...list.children].map(({ textContent }) => textContent);
    list.hidden = told.length === 0;
    if (told.join("\n") !== before.join("\n")) list.replaceChildren(...told.map((text) => element("li", { text })));
  }
}
