// The page's table of contents: what it knows (store), how it hears and asks (connection, rooms, directs,
// outbox), and what it shows (the views). All of it begins here.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { Dialogs } from "./dialogs.js";
import { Directs } from "./directs.js";
import { Head } from "./head.js";
import { Notices } from "./notices.js";
import { Outbox } from "./outbox.js";
import { Rooms } from "./rooms.js";
import { newId, rest } from "./server.js";
import { Sidebar } from "./sidebar.js";
import { Store } from "./store.js";
import { Theme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { TypingLine } from "./typing.js";

const store = new Store();
const connection = new Connection();
const rooms = new Rooms(connection.shared, store);
const directs = new Directs(connection.messenger, connection.shared, store);
/** Who serves a conversation. */
const leg = (conversation) => (conversation.isRoom ? rooms : directs);

new Theme();
const head = new Head(store, connection);
await connection.during(() => begin());

const outbox = new Outbox({
  send: (conversation, item) => leg(conversation).send(conversation, item),
  canSend: (conversation) => leg(conversation).canSend(conversation),
  storage: sessionStorage,
  name: store.me,
  changed: () => store.changed(),
  newId,
});
outbox.restore((key) => byKey(key));
addEventListener("beforeunload", (event) => {
  if (!outbox.isEmpty) event.preventDefault();
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
const { shared, messenger } = connection;
shared.on("connect", () => catchUp(shared, async () => {
  store.apply(await rest("GET", "/api/inbox"));
  await rooms.catchUp();
  if (store.active && !store.active.isRoom) await directs.open(store.active);
}));
messenger.on("connect", () => catchUp(messenger, () => directs.catchUp()));

/** What there is to show: nothing can be done without it. */
async function begin() {
  for (let pause = 500; ; pause = Math.min(pause * 2, 5_000)) {
    try {
      return store.apply(await rest("GET", "/api/inbox"));
    } catch (refusal) {
      head.complain(refusal.message);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** Does the work, again and again as long as the socket lives and it fails. */
async function catchUp(socket, work) {
  await connection.during(async () => {
    for (let pause = 1_000; socket.connected; pause = Math.min(pause * 2, 10_000)) {
      try {
        return await work();
      } catch (refusal) {
        console.info("catching up again:", refusal.message);
        await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random())));
      }
    }
  });
  outbox.flushAll();
  store.changed();
}

/** What is looked at was seen. */
let seeing;
function see() {
  clearTimeout(seeing);
  seeing = setTimeout(() => {
    const { active } = store;
    if (active && active.unread > 0 && store.isLooking(active) && connection.isOnline) {
      leg(active).see(active).then(() => store.changed(), () => {});
    }
  }, 300);
}
store.addEventListener("change", see);
for (const event of ["focus", "visibilitychange"]) addEventListener(event, see);
timeline.onEnd = see;

/** A conversation by its key, `room/<id>` or `direct/<name>`. */
function byKey(key) {
  const [kind, id] = [key.slice(0, key.indexOf("/")), key.slice(key.indexOf("/") + 1)];
  return kind === "direct" ? store.direct(id) : store.room(id);
}

function show(conversation) {
  location.hash = `#/${conversation.isRoom ? "room" : "direct"}/${encodeURIComponent(conversation.id)}`;
}

/** Shows what the address says: `#/room/<id>`, `#/direct/<name>`, or the list. */
async function route() {
  const [, kind, id] = location.hash.split("/");
  const wanted = ["room", "direct"].includes(kind) && id ? byKey(`${kind}/${decodeURIComponent(id)}`) : null;
  document.documentElement.dataset.pane = wanted ? "conversation" : "list";
  const conversation = wanted ?? store.active ?? store.at("room/lobby");
  if (conversation && conversation !== store.active) {
    composer.leave();
    store.active?.trim();
    store.active = conversation;
    conversation.newFrom = null;
    timeline.enter();
    composer.enter();
  }
  store.changed();
  if (conversation && !conversation.isLoaded && (conversation.isRoom || connection.messenger.connected)) {
    await connection.during(() => leg(conversation).open(conversation)).catch((refusal) => head.complain(refusal.message));
  } else if (conversation && !conversation.isRoom) {
    directs.open(conversation).catch(() => {});
  }
}

addEventListener("hashchange", route);
await route();
connection.start();
document.documentElement.dataset.ready = "";
