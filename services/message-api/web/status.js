// The status page: asks /status.json once a second and draws what it says.

import {
  age, count, cpu, health, History, latency, line, memory, rate, Roll, SPAN, stateOf, time,
} from "./status-model.js";

const TOKEN = "switchboard-status-token";
const EVERY = 1_000;
/** How long an answer may take. */
const PATIENCE = 3_000;
/** After so many seconds without an answer what is shown is called old. */
const OLD = 3;
const [WIDTH, HEIGHT] = [240, 48];

const seconds = () => performance.now() / 1_000;
const at = (id) => document.getElementById(id);
const board = at("board");
const form = at("token-form");

/** Sets a text only if it is another: nothing is drawn, selected or read out anew without need. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(name, attributes = {}, ...children) {
  const isDrawing = ["svg", "path"].includes(name);
  const element = isDrawing
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

// --- Sums, each with its chart -------------------------------------------------------------------

const ready = (sums) => Object.values(sums.replicas).reduce((all, states) => all + (states.ready ?? 0), 0);
const per = { unit: "/s", words: rate };

/** `of` gives the lines' values, the one that matters most last. */
const CARDS = [
  { title: "Replicas ready", of: (sums) => [ready(sums)], words: count },
  { title: "Connections", of: (sums) => [sums.connections], words: count },
  { title: "Messages stored", of: (sums) => [sums.posts], ...per },
  { title: "Deliveries", of: (sums) => [sums.deliveries], ...per },
  { title: "Post to acknowledged", of: ({ ack }) => [ack?.p50 ?? null, ack?.p99 ?? null], words: time },
  { title: "Publish to delivered", of: ({ delivery: d }) => [d?.p50 ?? null, d?.p99 ?? null], words: time },
  { title: "Repairs", of: (sums) => [sums.repairs], ...per },
].map(makeCard);

function makeCard({ title, of, words, unit = "" }) {
  const histories = of({ replicas: {} }).map(() => new History());
  const value = make("span", { class: "st-value" });
  const lesser = make("span", { class: "st-lesser" });
  const most = make("span", { class: "st-most", "aria-hidden": "true" });
  const paths = histories.map((_, nth) =>
    make("path", { class: nth === histories.length - 1 ? "st-line-main" : "st-line-lesser" }));
  const chart = make("svg", {
    viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: "none", role: "img",
  }, ...paths);
  const card = make("li", {},
    make("h3", {}, title), make("p", { class: "st-figures" }, value, lesser),
    make("div", { class: "st-chart" }, chart, most));
  at("cards").append(card);
  const isPair = histories.length === 2;

  return {
    /** Takes the newest sums; null: there was no answer. */
    take(sums, now) {
      const values = sums ? of(sums) : histories.map(() => null);
      histories.forEach((history, nth) => history.add(now, values[nth]));
      if (!sums) return;
      const [main] = values.slice(-1);
      say(value, main === null ? "–" : `${words(main)}${unit}`);
      if (isPair) say(lesser, main === null ? "none of late" : `p99 · p50 ${words(values[0])}`);
    },
    draw(now) {
      const top = Math.max(...histories.map((history) => history.most));
      histories.forEach((history, nth) => {
        paths[nth].setAttribute("d", line(history.points, now, top, WIDTH, HEIGHT));
      });
      const highest = top > 0 ? `most ${words(top)}${unit}` : "";
      say(most, highest);
      chart.setAttribute("aria-label", `${title}, the last ${SPAN / 60} minutes: ${highest || "nothing"}`);
    },
  };
}

// --- Replicas ------------------------------------------------------------------------------------

const common = [
  ["CPU", (one) => cpu(one.cpu)],
  ["Memory", (one) => memory(one.memory)],
  ["Up for", (one) => age(one.uptime)],
  ["Version", (one) => one.version],
];

const tables = [
  makeTable("gateways", "socket-gateway", [
    ["Connections", (one) => count(one.connections)],
    ["Deliveries/s", (one) => rate(one.deliveries)],
    ["Acknowledged, p50 / p99", (one) => latency(one.ack)],
    ["Delivered, p50 / p99", (one) => latency(one.delivery)],
    ["Repairs/s", (one) => rate(one.repairs)],
    ...common,
  ]),
  makeTable("apis", "message-api", [
    ["Messages/s", (one) => rate(one.posts)],
    ["Requests/s", (one) => rate(one.requests)],
    ["Commit, p50 / p99", (one) => latency(one.commit)],
    ...common,
  ]),
];

/** Roles are written down, since a narrow screen shows rows as blocks. */
function makeTable(id, service, columns) {
  const heads = ["Replica", "State", ...columns.map(([title]) => title)]
    .map((title) => make("th", { role: "columnheader", scope: "col" }, title));
  const body = make("tbody", { role: "rowgroup" });
  const table = make("table", { role: "table", "aria-labelledby": `${id}-title` },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), body);
  const none = make("p", { class: "st-none" }, "none is known");
  at(id).append(table, none);
  const rows = new Map();

  const makeRow = () => {
    const name = make("th", { role: "rowheader", scope: "row" });
    const word = make("span", {});
    const lacks = make("span", { class: "st-lacks" });
    const state = make("td", { role: "cell", class: "st-state" },
      make("span", { class: "st-dot", "aria-hidden": "true" }), word, lacks);
    const cells = columns.map(([title]) => make("td", { role: "cell", "data-title": title }));
    return { row: make("tr", { role: "row" }, name, state, ...cells), name, word, lacks, cells };
  };

  return (replicas) => {
    const own = replicas.filter((replica) => replica.service === service);
    none.hidden = own.length > 0;
    table.hidden = own.length === 0;
    for (const [replica, { row }] of rows) {
      if (own.some(({ id: known }) => known === replica)) continue;
      row.remove();
      rows.delete(replica);
    }
    own.forEach((replica, nth) => {
      const shown = rows.get(replica.id) ?? makeRow();
      rows.set(replica.id, shown);
      if (body.children[nth] !== shown.row) body.insertBefore(shown.row, body.children[nth] ?? null);
      shown.row.dataset.state = replica.state;
      say(shown.name, replica.name);
      say(shown.word, stateOf(replica));
      say(shown.lacks, replica.lacks.join("; "));
      columns.forEach(([, words], cell) => say(shown.cells[cell], words(replica)));
    });
  };
}

// --- Sockets by protocol -------------------------------------------------------------------------

const bars = new Map();

function drawSockets(sockets) {
  const most = Math.max(1, ...Object.values(sockets));
  for (const [protocol, { item }] of bars) {
    if (protocol in sockets) continue;
    item.remove();
    bars.delete(protocol);
  }
  for (const protocol of Object.keys(sockets).sort()) {
    const known = bars.get(protocol) ?? makeBar(protocol);
    say(known.number, count(sockets[protocol]));
    known.bar.style.setProperty("--share", String(sockets[protocol] / most));
  }
  at("nobody").hidden = bars.size > 0;
}

function makeBar(protocol) {
  const words = protocol === "shared" ? "all protocols, namespace /" : protocol;
  const bar = make("span", { class: "st-bar", "aria-hidden": "true" });
  const number = make("span", { class: "st-number" });
  const item = make("li", {}, make("span", {}, words), bar, number);
  at("sockets").append(item);
  bars.set(protocol, { item, bar, number });
  return bars.get(protocol);
}

// --- Asking --------------------------------------------------------------------------------------

const roll = new Roll();
let answeredAt = null;
let isAsking = false;
let isRefused = false;
let began = seconds();

async function ask() {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch("/status.json", {
    headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE),
  });
  if (response.status === 401) return refused(token);
  if (!response.ok) throw new Error(`status ${response.status}`);
  show(await response.json(), Boolean(token));
}

function refused(token) {
  isRefused = true;
  sessionStorage.removeItem(TOKEN);
  form.hidden = false;
  board.hidden = true;
  at("forget").hidden = true;
  say(at("token-refused"), token ? "That is not the token of a service." : "");
  tell("unready", "The token of a service is needed", "");
  at("token").focus();
}

function show(answer, hasToken) {
  const now = seconds();
  answeredAt = now;
  form.hidden = true;
  board.hidden = false;
  at("forget").hidden = !hasToken;
  const replicas = roll.call(answer, now);
  for (const table of tables) table(replicas);
  drawSockets(answer.sums.sockets);
  // While Redis is away the sums are those of one replica: nothing is known of the whole.
  const isWhole = answer.redis === "ok";
  for (const card of CARDS) card.take(isWhole ? answer.sums : null, now);
  at("note").hidden = isWhole;
  say(at("note"), isWhole ? "" : `Redis does not answer (${answer.redis}). What is shown of others is old.`);
  const { state, text } = health(replicas);
  tell(isWhole ? state : "lost", text, "");
  say(at("foot"), `Rates and latencies are of the last ${answer.window} seconds; latencies are estimates from histograms.`);
}

/** The seconds that pass are shown, and not read out. */
function tell(state, text, since) {
  at("health").dataset.state = state;
  say(at("health-text"), text);
  say(at("health-since"), since);
}

async function beat() {
  if (isRefused || isAsking || document.hidden) return;
  isAsking = true;
  try {
    await ask();
  } catch {
    const now = seconds();
    for (const card of CARDS) card.take(null, now);
  } finally {
    isAsking = false;
  }
}

function draw() {
  const now = seconds();
  if (document.hidden || isRefused) return;
  for (const card of CARDS) card.draw(now);
  const silent = now - (answeredAt ?? began);
  const isOld = silent > OLD;
  board.classList.toggle("st-old", isOld);
  if (isOld) tell("lost", "No answer", `since ${age(silent)}`);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, at("token").value.trim());
  at("token").value = "";
  isRefused = false;
  began = seconds();
  beat().then(draw);
});

at("forget").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  beat().then(draw);
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  // What happened meanwhile nobody here knows.
  const now = seconds();
  began = now;
  answeredAt = null;
  for (const card of CARDS) card.take(null, now);
  beat().then(draw);
});

// Drawn before and after: the answer may take longer than until the next time.
setInterval(() => {
  draw();
  beat().then(draw);
}, EVERY);
beat().then(draw);
