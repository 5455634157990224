// Every deployment: its guest, what that may use, whether it can answer, and how often it has.

import { byId, element, say } from "./dom.js";
import { bytes, count, seconds, short } from "./format.js";

const COLUMNS = ["Deployment", "Guest", "Models", "Limits", "Answered", "Failed", "Starts", "Alive"];

const LIMITS = [
  ["memory_bytes", "memory", (value) => short(bytes(value))],
  ["wall_ms", "time", (value) => short(seconds(value / 1000))],
  ["instances", "instances", count],
  ["fuel", "fuel", count],
  ["tensor_bytes", "tensors", (value) => short(bytes(value))],
  ["hostcall_bytes", "a host call", (value) => short(bytes(value))],
  ["handles", "handles", count],
  ["table_elements", "table elements", count],
  ["log_bytes", "log", (value) => short(bytes(value))],
];
// The first limits are what a person asks for; the others open on demand.
const LIMITS_SHOWN = 4;

export class Deployments {
  rows = new Map();

  // What is deployed.
  show(deployments) {
    this.rows = new Map(deployments.map((deployment) => [deployment.name, new Row(deployment)]));
    const none = element("p", { class: "padded note", text: "Nothing is deployed." });
    byId("deployment-list").replaceChildren(deployments.length === 0 ? none : element("table", { class: "deployments" },
      element("thead", {}, element("tr", {}, COLUMNS.map((text) => element("th", { scope: "col", text })))),
      element("tbody", {}, [...this.rows.values()].map(({ node }) => node))));
  }

  // How they do.
  update(figures, history) {
    const problems = new Map(figures.problems.map(({ deployment, problem }) => [deployment, problem]));
    for (const [name, row] of this.rows) row.update(history.latest.deployments.get(name), problems.get(name));
  }
}

class Row {
  constructor(deployment) {
    this.health = element("span", { class: "health" });
    this.problem = element("span", { class: "problem", hidden: true });
    this.cells = Object.fromEntries(["answered", "failed", "starts", "instances"].map((key) => [key, element("span", { text: "0" })]));
    const cell = (label, ...children) => element("td", { data: { label } }, element("div", {}, ...children));
    this.node = element("tr", { data: { deployment: deployment.name } },
      element("th", { scope: "row" }, element("span", { class: "deployment-name", text: deployment.name }), this.health, this.problem),
      cell("Guest", element("code", { text: deployment.guest }), element("span", { class: "detail", text: about(deployment) })),
      cell("Models", models(deployment.models)),
      cell("Limits", limits(deployment.limits)),
      ...[["Answered", "answered"], ["Failed", "failed"], ["Starts", "starts"], ["Alive", "instances"]].map(([label, key]) => {
        const made = cell(label, this.cells[key]);
        made.classList.add("count");
        return made;
      }));
    this.update(undefined, undefined);
  }

  update(counts, problem) {
    say(this.health, problem === undefined ? "healthy" : "cannot answer");
    this.health.dataset.ok = String(problem === undefined);
    this.problem.hidden = problem === undefined;
    say(this.problem, problem ?? "");
    for (const [key, node] of Object.entries(this.cells)) say(node, count(counts?.[key] ?? 0));
    this.cells.failed.dataset.bad = String((counts?.failed ?? 0) > 0);
  }
}

const about = ({ kind, wasm_bytes, route }) => [kind, short(bytes(wasm_bytes)), route ? `at ${route}` : null].filter(Boolean).join(", ");

const models = (grants) => (grants.length === 0 ? element("span", { class: "detail", text: "none" })
  : element("ul", { class: "grants" }, grants.map(({ alias, model }) =>
    element("li", {}, element("code", { text: alias }), element("span", { class: "detail", text: ` is ${model}` })))));

const limits = (limits) => {
  const known = LIMITS.filter(([key]) => limits[key] !== null && limits[key] !== undefined);
  const list = (some) => element("dl", { class: "limits" }, some.map(([key, label, format]) =>
    element("div", {}, element("dt", { text: label }), element("dd", { text: format(limits[key]) }))));
  const isFirst = ([key]) => LIMITS.findIndex(([other]) => other === key) < LIMITS_SHOWN;
  return [list(known.filter(isFirst)),
    element("details", {}, element("summary", { text: "all limits" }), list(known.filter((limit) => !isFirst(limit))))];
};
