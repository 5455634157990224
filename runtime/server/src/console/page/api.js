// Requests to this server, with a token where it asks for one.

import { byId, say } from "./dom.js";

const ANSWER_LIMIT_MS = 40_000;

// Kept in memory only: never in storage, never in an address.
let token = null;
// What waits for a person to enter one; several requests wait for the same.
let asking = null;

// The server answered, and not with what was asked for.
export class Refusal extends Error {
  constructor(status, message, retryAfterMs) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs ?? null;
  }
}

export const get = (path, limitMs = ANSWER_LIMIT_MS) => request(path, { method: "GET" }, limitMs);

export const post = (path, message) => {
  const headers = { "content-type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(message) }, ANSWER_LIMIT_MS);
};

const request = async (path, options, limitMs) => {
  for (;;) {
    const sent = token;
    const authorization = sent === null ? {} : { authorization: `Bearer ${sent}` };
    const response = await fetch(path, {
      ...options,
      headers: { ...options.headers, ...authorization },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(limitMs),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    const body = isJson ? JSON.parse(text) : { error: text.trim() };
    // Who may not even look needs another token; who may not do one thing is told so.
    if (response.status === 401 || (response.status === 403 && options.method === "GET" && sent !== null)) {
      // Another request may have brought a token meanwhile.
      if (token === sent) await askForToken(sent === null ? null : body.error);
      continue;
    }
    if (response.ok && isJson) return body;
    throw new Refusal(response.status, body.error || `the server answered with status ${response.status}`, body.retry_after_ms);
  }
};

// `problem` is what the server said of the last token; null where there was none.
const askForToken = (problem) => {
  asking ??= new Promise((resolve) => {
    const [dialog, form, input] = [byId("token-dialog"), byId("token-form"), byId("token")];
    if (problem !== null) say(byId("token-reason"), `This token was not accepted: ${problem}`);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = input.value.trim();
      input.value = "";
      asking = null;
      dialog.close();
      resolve();
    }, { once: true });
    // Without a token there is nothing to see behind the dialog.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
  return asking;
};
