// How the server is asked: REST with the session cookie, and events with their acknowledgements.

import { Refusal } from "./outbox.js";

/** How long an answer may take, in ms. */
const PATIENCE = 12_000;

/** Asked without a live session: there is nothing left to do here. */
export function logInAgain() {
  if (isLeaving) return;
  isLeaving = true;
  location.assign("/login");
}

/** What is here is nobody's any more. */
export function beginAnew() {
  if (isLeaving) return;
  isLeaving = true;
  location.reload();
}

let isLeaving = false;

/** Is the page left for good, with nothing that could still be done here? */
export const isLeft = () => isLeaving;

/** Asks REST. Resolves to the JSON of the answer, rejects with a `Refusal`. */
export async function rest(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE),
      keepalive: body !== undefined, // It may be the last that a page says.
    });
  } catch {
    throw new Refusal("The server can't be reached.", "unanswered");
  }
  if (response.status === 401) logInAgain();
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const words = typeof answer.status === "string" ? answer.status.replaceAll(" ", "_") : "refused";
  const code = answer.code ?? (response.status >= 500 ? "unavailable" : words);
  throw new Refusal(sentence(answer.error ?? answer.status ?? `The server answered ${response.status}.`), code);
}

/** Emits an event and waits for its acknowledgement. */
export async function ask(socket, event, payload) {
  if (!socket.connected) throw new Refusal("There is no connection.", "unanswered");
  let answer;
  try {
    answer = await socket.timeout(PATIENCE).emitWithAck(event, payload);
  } catch {
    throw new Refusal("The server did not answer.", "unanswered");
  }
  if (answer?.success === false) throw new Refusal(sentence(answer.error), answer.code);
  return answer;
}

const sentence = (text) => {
  const words = String(text);
  return words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");
};

/** A random id, also where the page did not come by HTTPS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
