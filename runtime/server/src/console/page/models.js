// Every model: where it runs, why there, and what it has proven.

import { byId, element } from "./dom.js";
import { joined, number, plural, seconds } from "./format.js";

export const showModels = (models) => {
  const none = element("p", { class: "card padded note", text: "No model is in service." });
  byId("model-list").replaceChildren(...(models.length > 0 ? models.map(card) : [none]));
};

const card = (model) => element("article", { class: "card model", "aria-label": model.name, data: { model: model.name } },
  element("header", { class: "model-head" },
    element("h3", { text: model.name }),
    element("ul", { class: "chips", "aria-label": "Placement" },
      element("li", { class: "chip strong", text: `${model.backend}:${model.device}` }),
      element("li", { class: "chip strong", text: model.precision }),
      model.library ? element("li", { class: "chip", text: model.library }) : null,
      model.sessions ? element("li", { class: "chip", text: sessions(model.sessions) }) : null)),
  element("div", { class: "model-body" },
    element("dl", { class: "proofs" }, golden(model.golden), proof("Shared batches", model.rows), proof("Padded batches", model.padding)),
    candidates(model)));

const sessions = ({ count, rows_per_s }) => `${plural(count, "session")}, ${number(rows_per_s)} rows/s`;

const golden = (golden) => entry("Golden vectors", golden !== null, golden === null
  ? ["none", "this model brings none, so it runs in f32 and unbatched"]
  : [`cosine ${golden.min_cosine.toFixed(6)}`, `the lowest of ${plural(golden.cases, "case")}; largest error ${golden.max_abs_error.toExponential(1)}`]);

const proof = (label, { is_proven, detail }) => entry(label, is_proven, [is_proven ? "proven" : "refused", detail]);

const entry = (label, isProven, [verdict, detail]) => element("div", { class: "proof" },
  element("dt", { text: label }),
  element("dd", {},
    element("span", { class: "verdict", data: { proven: String(isProven) } }, element("span", { class: "mark", "aria-hidden": "true" }), verdict),
    element("span", { class: "detail", text: detail })));

// What the choice was made from, the fastest as the shortest bar.
const candidates = ({ candidates, reason, name }) => {
  const slowest = Math.max(...candidates.map(({ speed }) => (speed ? perRow(speed) : 0)));
  const rows = candidates.map((candidate) => row(candidate, slowest));
  const isDisturbed = candidates.some(({ speed }) => speed?.is_disturbed);
  return element("div", { class: "choice" },
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Speed of ${name} by precision` },
      element("table", { class: "speeds" },
        element("thead", {}, element("tr", {}, ["Precision", "File", "One row", "Rows together", "A row, batched"].map((text) => element("th", { scope: "col", text })))),
        element("tbody", {}, rows))),
    isDisturbed ? element("p", { class: "note", text: "* other programs ran during this measurement; the next start repeats it" }) : null,
    element("details", {}, element("summary", { text: "Why this choice, in the engine's words" }), element("p", { class: "words", text: reason })));
};

const perRow = ({ batch_us, rows }) => batch_us / rows;

const row = ({ precision, file, speed, refused, is_chosen }, slowest) => {
  const name = element("th", { scope: "row" }, element("span", { class: "precision", text: precision }),
    is_chosen ? element("span", { class: "chosen", text: "in service" }) : null);
  const source = element("td", { class: "file", text: file });
  const properties = { data: { chosen: String(is_chosen) } };
  if (speed === null) {
    return element("tr", properties, name, source, element("td", { colspan: "3", class: "refused", text: refused ?? "proven; not measured" }));
  }
  const time = (us) => joined(seconds(us / 1e6)) + (speed.is_disturbed ? "\u202f*" : "");
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", perRow(speed) / slowest);
  return element("tr", properties, name, source,
    element("td", { text: time(speed.single_us) }),
    element("td", { text: speed.rows > 1 ? `${speed.rows} in ${time(speed.batch_us)}` : "alone only" }),
    element("td", { class: "with-bar" }, element("span", { text: time(perRow(speed)) }), bar));
};
