// The playground: texts compared by what they mean, and inputs classified, each with where the time went.

import { post } from "./api.js";
import { byId, element } from "./dom.js";
import { count, joined, number, plural, seconds } from "./format.js";

const EXAMPLES = {
  "Paraphrases": [
    "How do I reset my password?",
    "I forgot my login and need a new one",
    "The pump in hall 3 vibrates more than usual",
    "Unusual shaking reported at the water pump",
    "What time does the canteen close today?",
    "Is lunch still being served?",
  ],
  "Alarms": [
    "bearing temperature above limit",
    "motor overheating, bearings hot",
    "coolant pressure low",
    "loss of pressure in the cooling circuit",
    "door of cabinet 4 opened",
    "operator logged in at panel 2",
  ],
  "Word senses": [
    "He sat on the bank of the river",
    "She deposited the cheque at the bank",
    "The shore was muddy after the rain",
    "My account is overdrawn again",
  ],
};

const LABEL_EXAMPLES = {
  text: "The pump in hall 3 vibrates more than usual since this morning.",
  labels: "mechanical fault\nelectrical fault\nquestion about lunch\naccess request",
};

// A picture travels as base64 in a message that the server bounds.
const PICTURE_LIMIT_BYTES = 5 << 20;

export class Playground {
  // Shows what can be tried on this server.
  offer({ embed = [], classify = [], texts_limit: limit }) {
    const panels = [];
    if (embed.length > 0) panels.push(similarity(embed, limit));
    if (classify.length > 0) panels.push(classification(classify));
    if (panels.length === 0) panels.push(element("p", { class: "card padded note", text: "No deployment embeds or classifies." }));
    byId("playground-panels").replaceChildren(...panels);
  }
}

// A form beside its answer: asks once at a time, and shows errors as the engine says them.
const panel = ({ title, fields, action, ask }) => {
  const button = element("button", { class: "button", type: "submit", text: action });
  const output = element("div", { class: "output", "aria-live": "polite" }, element("p", { class: "note hint-big", text: "The answer appears here." }));
  const run = async (event) => {
    event?.preventDefault();
    button.disabled = true;
    output.setAttribute("aria-busy", "true");
    try {
      output.replaceChildren(...await ask());
    } catch (error) {
      const again = error.retryAfterMs ? ` (try again in ${joined(seconds(error.retryAfterMs / 1000))})` : "";
      output.replaceChildren(element("p", { class: "error", role: "alert", text: error.message + again }));
    }
    button.disabled = false;
    output.removeAttribute("aria-busy");
  };
  const isSending = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey);
  const form = element("form", { on: { submit: run, keydown: (event) => isSending(event) && !button.disabled && run(event) } },
    fields, element("div", { class: "actions" }, button, element("span", { class: "note", text: "or Ctrl + Enter" })));
  return element("article", { class: "card panel", "aria-label": title }, element("h3", { text: title }), element("div", { class: "panel-body" }, form, output));
};

const field = (label, input, id, ...more) => {
  input.id = id;
  return element("div", { class: "field" }, element("label", { for: id, text: label }), input, ...more);
};

const chooser = (names, id) => {
  const select = element("select", {}, names.map((name) => element("option", { value: name, text: name })));
  return { select, field: names.length > 1 ? field("Deployment", select, id) : null };
};

const lines = (area) => area.value.split("\n").map((line) => line.trim()).filter((line) => line !== "");

const similarity = (deployments, limit) => {
  const area = element("textarea", { rows: "8", spellcheck: "false" });
  area.value = Object.values(EXAMPLES)[0].join("\n");
  const chosen = chooser(deployments, "embed-deployment");
  const use = (texts) => () => { area.value = texts.join("\n"); area.focus(); };
  const examples = element("p", { class: "examples" }, "Examples: ", Object.entries(EXAMPLES).map(([name, texts]) =>
    element("button", { class: "link", type: "button", text: name, on: { click: use(texts) } })));
  const ask = async () => {
    const texts = lines(area);
    const answer = await post("/api/embed", { deployment: chosen.select.value, texts });
    return [matrix(texts, answer), stages(answer), facts(answer)];
  };
  return panel({
    title: "Similarity", action: "Compare", ask,
    fields: [chosen.field, field(`Texts, one a line, at most ${limit}`, area, "embed-texts", examples)],
  });
};

// A table that reads as a heat map: the darker, the more alike.
const matrix = (texts, { similarity, tokens }) => {
  const head = element("tr", {}, element("th", { scope: "col", text: "Cosine" }), texts.map((text, index) =>
    element("th", { scope: "col", title: text, "aria-label": `${index + 1}: ${text}`, text: String(index + 1) })));
  const rows = similarity.map((row, index) => element("tr", {},
    element("th", { scope: "row", title: `${texts[index]} (${plural(tokens[index], "token")})` },
      element("span", { class: "index", text: String(index + 1) }), element("span", { class: "text", text: texts[index] })),
    row.map((value) => {
      const cell = element("td", { text: value.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−") });
      cell.style.setProperty("--heat-share", `${Math.round(Math.max(value, 0) * 100)}%`);
      return cell;
    })));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Similarity of the texts" },
    element("table", { class: "matrix" }, element("thead", {}, head), element("tbody", {}, rows)));
};

// Where the time went: a bar, and its parts in numbers.
const stages = ({ stages, total_us: total }) => {
  const told = stages.reduce((sum, { us }) => sum + us, 0);
  const all = [...stages, { name: "other", us: Math.max(total - told, 0) }];
  const whole = Math.max(total, told);
  const parts = all.map(({ us }, index) => {
    const part = element("span", { class: `part part-${index}` });
    part.style.setProperty("--share", us / whole);
    return part;
  });
  const list = all.map(({ name, us }, index) => element("div", {},
    element("dt", {}, element("span", { class: `key part-${index}`, "aria-hidden": "true" }), name),
    element("dd", { text: joined(seconds(us / 1e6)) })));
  return element("div", { class: "stages" },
    element("p", { class: "stages-head" }, element("b", { text: joined(seconds(total / 1e6)) }), " in the engine"),
    element("div", { class: "stage-bar", "aria-hidden": "true" }, parts),
    element("dl", { class: "stage-list" }, list));
};

const facts = ({ placement, dimensions, tokens = [], batch }) => {
  const told = [
    placement ? `${placement.model} on ${placement.backend}:${placement.device}, ${placement.precision}` : null,
    dimensions ? `${count(dimensions)} dimensions` : null,
    tokens.length > 0 ? plural(tokens.reduce((sum, value) => sum + value, 0), "token") : null,
    batch ? `${plural(batch.inferences, "inference")} of ${plural(batch.rows, "row")}, ${number(100 * (1 - batch.tokens / Math.max(batch.padded_tokens, 1)))}\u202f% padding` : null,
  ];
  return element("p", { class: "note", text: told.filter(Boolean).join(" · ") });
};

const classification = (deployments) => {
  const chosen = chooser(deployments, "classify-deployment");
  const text = element("textarea", { rows: "3", spellcheck: "false" });
  const labels = element("textarea", { rows: "4", spellcheck: "false" });
  const file = element("input", { type: "file", accept: "image/*" });
  [text.value, labels.value] = [LABEL_EXAMPLES.text, LABEL_EXAMPLES.labels];
  const ask = async () => {
    const picture = file.files[0];
    const input = picture === undefined ? { text: text.value } : { image: await base64(picture) };
    const answer = await post("/api/classify", { deployment: chosen.select.value, labels: lines(labels), ...input });
    return [bars(answer.labels), stages(answer), facts(answer)];
  };
  return panel({
    title: "Classification", action: "Classify", ask,
    fields: [
      chosen.field,
      field("Text", text, "classify-text"),
      field("Labels, one a line; none for those of the model", labels, "classify-labels"),
      field("Picture, in place of the text", file, "classify-image"),
    ],
  });
};

const base64 = async (picture) => {
  if (picture.size > PICTURE_LIMIT_BYTES) throw new Error(`the picture has ${count(picture.size)} bytes; at most ${count(PICTURE_LIMIT_BYTES)} are sent from here`);
  const bytes = new Uint8Array(await picture.arrayBuffer());
  const characters = [];
  // In parts: the arguments of a call are bounded.
  for (let start = 0; start < bytes.length; start += 0x8000) characters.push(String.fromCharCode(...bytes.subarray(start, start + 0x8000)));
  return btoa(characters.join(""));
};

const bars = (labels) => element("dl", { class: "label-bars" }, labels.map(({ label, score }) => {
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", Math.min(Math.max(score, 0), 1));
  return element("div", {}, element("dt", { text: label }), element("dd", {}, bar, element("span", { text: score.toFixed(3) })));
}));
