// Figures over time: counters and histograms as the server tells them, rates and quantiles as the page computes them.

// How far back the charts go.
export const SPAN_MS = 300_000;
// What a rate or quantile covers: long enough to be calm, short enough to be now.
export const WINDOW_MS = 5_000;
// Further apart than this, two moments are not joined by a line.
export const GAP_MS = 3_500;
// One a second, and some in reserve for a clock that is not exact.
const MOMENTS_LIMIT = 320;

const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{((?:[A-Za-z_]\w*="(?:[^"\\]|\\.)*",?)*)\})? (\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { "\\\\": "\\", '\\"': '"', "\\n": "\n" };

// The samples of an exposition in the text format of OpenMetrics, by name.
export const parse = (text) => {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : SAMPLE.exec(line);
    if (!found) continue;
    const [, name, block, value] = found;
    const labels = {};
    for (const [, key, escaped] of (block ?? "").matchAll(LABEL)) {
      labels[key] = escaped.replace(/\\[\\"n]/g, (two) => ESCAPED[two]);
    }
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: value === "+Inf" ? Infinity : Number(value) });
  }
  return samples;
};

const total = (samples = [], fits = () => true) =>
  samples.filter(({ labels }) => fits(labels)).reduce((sum, { value }) => sum + value, 0);

const isAnswered = ({ code = "" }) => code.toLowerCase() === "ok";

// A histogram over all its series: counts up to each bound, their number, their sum.
const histogram = (samples, name) => {
  const upTo = new Map();
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    upTo.set(bound, (upTo.get(bound) ?? 0) + value);
  }
  const bounds = [...upTo.keys()].sort((a, b) => a - b);
  const counts = bounds.map((bound) => upTo.get(bound));
  return { bounds, counts, count: total(samples.get(`${name}_count`)), sum: total(samples.get(`${name}_sum`)) };
};

// What a deployment has done since the server started, and does now.
const byDeployment = (samples) => {
  const deployments = new Map();
  const add = (name, key, fits = () => true) => {
    for (const { labels, value } of samples.get(name) ?? []) {
      if (!labels.deployment || !fits(labels)) continue;
      const known = deployments.get(labels.deployment) ?? { answered: 0, failed: 0, starts: 0, instances: 0 };
      known[key] += value;
      deployments.set(labels.deployment, known);
    }
  };
  add("wisp_requests_total", "answered", isAnswered);
  add("wisp_requests_total", "failed", (labels) => !isAnswered(labels));
  add("wisp_guest_start_seconds_count", "starts");
  add("wisp_guest_instances", "instances");
  return deployments;
};

// One moment, reduced to what is shown.
const moment = (figures, at) => {
  const samples = parse(figures.openmetrics);
  return {
    at,
    uptimeMs: figures.uptime_ms,
    answered: total(samples.get("wisp_requests_total"), isAnswered),
    failed: total(samples.get("wisp_requests_total"), (labels) => !isAnswered(labels)),
    latency: histogram(samples, "wisp_request_seconds"),
    wait: histogram(samples, "wisp_queue_seconds"),
    rows: histogram(samples, "wisp_batch_rows"),
    padding: histogram(samples, "wisp_batch_padding_ratio"),
    queuedTokens: total(samples.get("wisp_queued_tokens")),
    deployments: byDeployment(samples),
  };
};

const since = (later, earlier) => ({
  bounds: later.bounds,
  counts: later.counts.map((value, index) => value - (earlier.counts[index] ?? 0)),
  count: later.count - earlier.count,
  sum: later.sum - earlier.sum,
});

const mean = ({ count, sum }) => (count > 0 ? sum / count : null);

// As PromQL's histogram_quantile: linear within a bucket, and no further than the last bound that is a number.
export const quantile = ({ bounds, counts }, q) => {
  const all = counts.at(-1) ?? 0;
  if (all <= 0) return null;
  const rank = q * all;
  const index = counts.findIndex((upTo) => upTo >= rank);
  if (bounds[index] === Infinity) return bounds[index - 1] ?? null;
  const [below, bound] = [counts[index - 1] ?? 0, bounds[index - 1] ?? 0];
  return bound + ((bounds[index] - bound) * (rank - below)) / Math.max(counts[index] - below, 1);
};

// What happened between two moments.
const between = (earlier, later) => {
  const passed = (later.at - earlier.at) / 1000;
  const latency = since(later.latency, earlier.latency);
  return {
    at: later.at,
    answered: (later.answered - earlier.answered) / passed,
    failed: (later.failed - earlier.failed) / passed,
    p50: quantile(latency, 0.5),
    p95: quantile(latency, 0.95),
    p99: quantile(latency, 0.99),
    rows: mean(since(later.rows, earlier.rows)),
    padding: mean(since(later.padding, earlier.padding)),
    wait: mean(since(later.wait, earlier.wait)),
    queuedTokens: later.queuedTokens,
  };
};

// The moments of the last minutes, and the points that are drawn of them.
export class History {
  moments = [];
  points = [];

  // Takes what the server told at a time, in milliseconds. Whether it is another process than before.
  add(figures, at) {
    const last = this.moments.at(-1);
    const isRestarted = last !== undefined && figures.uptime_ms < last.uptimeMs;
    if (isRestarted) this.moments = [];
    const next = moment(figures, at);
    const earlier = this.moments.findLast(({ at: then }) => at - then >= WINDOW_MS) ?? this.moments[0];
    if (earlier && at > earlier.at) this.points.push(between(earlier, next));
    this.moments.push(next);
    this.moments = this.moments.filter(({ at: then }) => at - then < 4 * WINDOW_MS || then === next.at);
    this.points = this.points.filter(({ at: then }) => at - then <= SPAN_MS + GAP_MS).slice(-MOMENTS_LIMIT);
    return isRestarted;
  }

  get now() {
    return this.points.at(-1) ?? null;
  }

  get latest() {
    return this.moments.at(-1) ?? null;
  }
}
