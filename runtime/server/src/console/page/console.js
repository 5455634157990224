// The console: asks the server once a second while somebody looks, and hands what it tells to the sections.

import { get } from "./api.js";
import { Charts } from "./charts.js";
import { Deployments } from "./deployments.js";
import { byId, say } from "./dom.js";
import { History } from "./figures.js";
import { clock } from "./format.js";
import { showModels } from "./models.js";
import { Overview } from "./overview.js";
import { Playground } from "./playground.js";

const PERIOD_MS = 1_000;
// Beyond this a server that does not answer counts as gone.
const FIGURES_LIMIT_MS = 5_000;
// Where it is gone, it is asked less often.
const LONGEST_PAUSE_MS = 8_000;
// What is served changes seldom: at a restart or a reload.
const STATUS_PERIOD_MS = 15_000;

const history = new History();
const overview = new Overview();
const charts = new Charts();
const deployments = new Deployments();
const playground = new Playground();

let status = null;
let statusAt = 0;
let lastSeenAt = null;
let failures = 0;
let timer = null;
let isAsking = false;

const setState = (name, text) => {
  byId("state").dataset.state = name;
  say(byId("state-text"), text);
  document.body.dataset.live = String(name === "ready" || name === "bad" || name === "draining");
};

const learnStatus = async (now) => {
  const told = await get("/api/status", FIGURES_LIMIT_MS);
  statusAt = now;
  // Drawn anew only where it differs: what a person has opened or typed stays.
  if (JSON.stringify(told) === JSON.stringify(status)) return;
  status = told;
  showModels(status.models);
  deployments.show(status.deployments);
  playground.offer(status.playground);
};

const showState = (figures) => {
  const failing = figures.problems.length;
  if (figures.is_draining) setState("draining", "Draining");
  else if (failing > 0 && failing === status.deployments.length) setState("bad", "Not ready");
  else if (failing > 0) setState("bad", "Degraded");
  else setState("ready", "Ready");
};

const ask = async () => {
  const figures = await get("/api/figures", FIGURES_LIMIT_MS);
  const now = Date.now();
  const isRestarted = history.add(figures, now);
  if (status === null || isRestarted || failures > 0 || now - statusAt > STATUS_PERIOD_MS) await learnStatus(now);
  overview.show(figures, history, status);
  charts.draw(history, now);
  deployments.update(figures, history);
  showState(figures);
  [failures, lastSeenAt] = [0, now];
};

const round = async () => {
  if (isAsking) return;
  isAsking = true;
  const startedAt = performance.now();
  try {
    await ask();
  } catch (error) {
    failures += 1;
    const seen = lastSeenAt === null ? "" : ` since ${clock(lastSeenAt)}`;
    setState("lost", error.status ? `Refused: ${error.message}` : `Connection lost${seen}`);
  }
  isAsking = false;
  const pause = failures === 0 ? PERIOD_MS : Math.min(PERIOD_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
  plan(pause - Math.min(performance.now() - startedAt, PERIOD_MS));
};

// Nobody looks at a hidden tab: it asks nothing.
const plan = (delay) => {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(round, delay);
};

document.addEventListener("visibilitychange", () => plan(0));
plan(0);
