// The page's table of contents: what it knows (store), how it hears and asks (connection, rooms, directs,
// outbox), and what it shows (the views). All of it begins here.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { Dialogs } from "./dialogs.js";
import { Directs } from "./directs.js";
import { byId } from "./dom.js";
import { Head } from "./head.js";
import { Notices } from "./notices.js";
import { Outbox, Refusal } from "./outbox.js";
import { Rooms } from "./rooms.js";
import { beginAnew, isLeft, newId, rest } from "./server.js";
import { Sidebar } from "./sidebar.js";
import { tab } from "./storage.js";
import { SomebodyElse, Store } from "./store.js";
import { Theme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { TypingLine } from "./typing.js";

const page = document.documentElement;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let seeing = null;

const store = new Store();
const connection = new Connection();
const { shared, messenger } = connection;
const rooms = new Rooms(shared, store);
const directs = new Directs(messenger, shared, store);
/** Who serves a conversation. */
const leg = (conversation) => (conversation.isRoom ? rooms : directs);

new Theme();
const head = new Head(store, connection);
await connection.during(() => again(look, () => true));

const outbox = new Outbox({
  send: (conversation, item) => leg(conversation).send(conversation, item),
  canSend: (conversation) => leg(conversation).canSend(conversation),
  storage: tab,
  name: store.me,
  changed: () => store.changed(),
  newId,
});
outbox.restore((key) => store.at(key) ?? (key.startsWith("direct/") ? store.direct(key.slice(7)) : store.room(key.slice(5))));
rooms.onJoined = (room) => outbox.flush(room);
store.addEventListener("drop", ({ detail }) => outbox.drop(detail));
addEventListener("beforeunload", (event) => {
  if (!outbox.isEmpty && !isLeft()) event.preventDefault();
});

const dialogs = new Dialogs(store, rooms, directs, show);
const timeline = new Timeline(store, outbox, leg, {
  edit: (message) => composer.edit(message),
  complain: (sentence) => composer.complain(sentence),
  remove: (text) => dialogs.mayDelete(text),
});
const composer = new Composer(store, outbox, leg, timeline);
const sidebar = new Sidebar(store, dialogs);
const notices = new Notices(store, show);

store.isLooking = (conversation) =>
  conversation === store.active && document.visibilityState === "visible" && document.hasFocus()
  && timeline.isInSight && timeline.isAtEnd;

for (const view of [timeline, sidebar, head, notices, composer, new TypingLine(store)]) {
  store.addEventListener("change", () => view.draw());
}
connection.addEventListener("change", () => head.draw());

// Each time a socket is there, what it missed is fetched, and then what waits is sent.
shared.on("connect", () => catchUp(shared, async () => {
  await look();
  rooms.isKnown = true;
  await rooms.catchUp();
  if (store.active && !store.active.isRoom) directs.listen(store.active);
}));
messenger.on("connect", () => catchUp(messenger, async () => {
  await look();
  directs.isKnown = true;
  await directs.catchUp();
}));

/** What the server says of all conversations. Where somebody else has logged in meanwhile, the page begins anew. */
async function look() {
  const askedAt = performance.now();
  try {
    store.apply(await rest("GET", "/api/inbox?rooms=200"), askedAt);
  } catch (error) {
    if (!(error instanceof SomebodyElse)) throw error;
    beginAnew();
    await new Promise(() => {}); // Nothing comes after it.
  }
}

/** Does it until it succeeds, as long as that is of use and may succeed later. */
async function again(work, isOfUse) {
  for (let wait = 500; isOfUse(); wait = Math.min(wait * 2, 8_000)) {
    try {
      await work();
      return head.complain("");
    } catch (refusal) {
      if (isOfUse()) head.complain(refusal.message);
      if (!(refusal instanceof Refusal)) throw refusal;
      if (!refusal.isPassing) return;
    }
    for (let left = wait * (0.75 + Math.random() / 2); left > 0 && isOfUse(); left -= 200) await pause(200);
  }
}

async function catchUp(socket, work) {
  await connection.during(() => again(work, () => socket.connected));
  if (socket.connected) outbox.flushAll();
  store.changed();
}

/** What is looked at was seen: told soon, then every few seconds while more comes, and again if it could not be. */
function see() {
  seeing ??= pause(300).then(async () => {
    const { active } = store;
    if (!active || !connection.isOnline || !store.isLooking(active) || !leg(active).hasUnseen(active)) return;
    await leg(active).see(active).catch(() => {});
    store.changed();
    if (active.isRoom) await pause(3_000);
  }).finally(() => {
    seeing = null;
    if (store.active && store.isLooking(store.active) && leg(store.active).hasUnseen(store.active)) see();
  });
}
store.addEventListener("change", see);
for (const event of ["focus", "visibilitychange"]) addEventListener(event, see);
timeline.onEnd = see;

/** Who turns away at once has seen it as well. */
function leave(conversation) {
  if (!conversation) return;
  // What fails here the next look tells.
  if (store.isLooking(conversation) && leg(conversation).hasUnseen(conversation)) leg(conversation).see(conversation).catch(() => {});
}
addEventListener("pagehide", () => leave(store.active));
addEventListener("blur", () => leave(store.active));

function show(conversation) {
  const address = `#/${conversation.isRoom ? "room" : "direct"}/${encodeURIComponent(conversation.id)}`;
  if (location.hash === address) route();
  else location.hash = address;
}

/** The conversation that the address names: `#/room/<id>` or `#/direct/<name>`. */
function addressed() {
  const [, kind, id] = location.hash.split("/");
  try {
    if (kind === "room") return store.at(`room/${decodeURIComponent(id)}`);
    return kind === "direct" && id ? direct(decodeURIComponent(id)) : null;
  } catch {
    return null; // No address that could have been made here.
  }
}

/** A direct by a name in whatever letter case. */
function direct(name) {
  const isSame = (other) => other.toLowerCase() === name.toLowerCase();
  const known = [...store.conversations.values()].find((one) => !one.isRoom && isSame(one.id))?.id;
  return store.direct(known ?? [...store.online].find(isSame) ?? name);
}
store.addEventListener("rename", ({ detail: { from, to } }) => {
  if (from !== store.active) return;
  store.active = null;
  show(to);
});

async function route() {
  const wanted = addressed();
  const isNowhere = !wanted && location.hash.startsWith("#/room/");
  if (isNowhere) history.replaceState(null, "", "#/");
  page.dataset.pane = wanted ? "conversation" : "list";
  const conversation = wanted ?? store.active ?? store.at("room/lobby");
  if (!conversation) return;
  if (conversation !== store.active) {
    const before = store.active;
    leave(before);
    composer.leave();
    before?.trim();
    store.active = conversation;
    if (before?.isRoom) rooms.close(before).catch(() => {});
    conversation.newFrom = null;
    timeline.enter();
    composer.enter();
  }
  store.changed();
  const isOfUse = () => store.active === conversation && (conversation.isRoom || messenger.connected);
  await connection.during(() => again(() => leg(conversation).open(conversation), isOfUse));
  if (isNowhere) head.complain("There is no such room.");
}

addEventListener("hashchange", route);
addEventListener("click", (event) => {
  // The address may be there already while a phone shows the list.
  const link = event.target.closest?.("#lists a");
  if (link && link.hash === location.hash) route();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  if (store.active) show(store.active);
  byId("text").focus();
});
if ("BroadcastChannel" in window) rooms.tellTabs(new BroadcastChannel(`seen:${store.me}`));
// Rooms that are not followed change as well.
setInterval(() => {
  if (document.visibilityState === "visible" && connection.isOnline) look().catch(() => {});
}, 60_000);
route();
connection.start();
page.dataset.ready = "";
