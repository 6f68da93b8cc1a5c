// What the web client knows of a conversation: order, no doubles, what is unread.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation, KEPT } from "../../../services/message-api/web/conversation.js";
import { firstUnread, rowsOf } from "../../../services/message-api/web/rows.js";
import { Store } from "../../../services/message-api/web/store.js";

const NOON = new Date(2026, 10, 20, 12).getTime();
const message = (id, more = {}) => ({
  id, order: id, user: "bob", text: `text ${id}`, at: NOON + id * 1_000, edited: 0, media: [], isRead: false, ...more,
});
const page = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => message(from + at));
const ids = (conversation) => conversation.messages.map(({ id }) => id);
const room = () => new Conversation("room", "r1", "Room");

test("whatever the order in which messages come, each stands once in its place", () => {
  const one = room();
  for (const id of [3, 1, 2, 3, 1]) one.merge([message(id)]);
  assert.deepEqual(ids(one), [1, 2, 3]);
  assert.equal(one.seq, 3);
  assert.equal(one.last.id, 3);
});

test("a page of the newest takes away what was deleted meanwhile, and keeps what came after it", () => {
  const one = room();
  one.refresh(page(1, 5), false);
  one.merge([message(7)]);
  const asked = one.ids;
  one.merge([message(8)]);
  one.refresh([message(3), message(5), message(6)], false, asked);
  assert.deepEqual(ids(one), [1, 2, 3, 5, 6, 8]);
  assert.ok(one.hasOlder);
});

test("a page that is far from what is here replaces it, so that no hole stays", () => {
  const one = new Conversation("direct", "bob");
  one.refresh(page(1, 5), false);
  one.refresh(page(60, 109), false);
  assert.deepEqual(ids(one), page(60, 109).map(({ id }) => id));
  assert.ok(one.hasOlder);
});

test("a page that is all there is leaves nothing older", () => {
  const one = room();
  one.refresh(page(1, 3), false);
  one.refresh([message(2)], true, one.ids);
  assert.deepEqual(ids(one), [2]);
  assert.equal(one.hasOlder, false);
});

test("what was deleted or edited while a page was on its way is not undone by it", () => {
  const one = room();
  one.merge([message(1), message(2)]);
  const asked = one.ids;
  one.remove(1);
  one.edit(message(2, { text: "newer", edited: NOON }));
  one.refresh(page(1, 3), true, asked);
  assert.deepEqual(one.messages.map(({ text }) => text), ["newer", "text 3"]);
});

test("a message that was read stays read, whatever an older answer says", () => {
  const one = new Conversation("direct", "bob");
  one.merge([message(1)]);
  one.read(1);
  one.merge([message(1)]);
  assert.equal(one.find(1).isRead, true);
});

test("one's own message that comes back before its answer is shown once", () => {
  const one = room();
  one.pending.push({ clientId: "a", text: "hi", state: "sending", isTried: true });
  one.receive(message(4, { user: "alice", text: "hi" }), "alice");
  assert.deepEqual(ids(one), []);
  one.pending = [];
  one.merge([message(4, { user: "alice", text: "hi" })]);
  one.release();
  assert.deepEqual(ids(one), [4]);
});

test("memory is bounded, and what was let go can be fetched again", () => {
  const one = room();
  one.refresh(page(1, KEPT + 50), true);
  one.trim();
  assert.equal(one.messages.length, KEPT);
  assert.equal(one.newest.id, KEPT + 50);
  assert.ok(one.hasOlder);
});

test("typing ends by itself, and with a message", () => {
  const one = room();
  one.types("bob", 0);
  one.types("carol", 3_000);
  assert.deepEqual(one.typists(4_000), ["bob", "carol"]);
  assert.deepEqual(one.typists(6_000), ["carol"]);
  one.receive(message(1, { user: "carol" }), "alice");
  assert.deepEqual(one.typists(6_000), []);
});

test("rows: days, groups, where the new ones begin, what is unsent", () => {
  const one = room();
  const nextDay = NOON + 24 * 60 * 60 * 1_000;
  one.merge([
    message(1), message(2), message(3, { user: "alice" }), message(4, { at: NOON + 3_600_000 }), message(5, { at: nextDay }),
  ]);
  one.newFrom = 4;
  one.pending.push({ clientId: "x", text: "hi", at: nextDay + 1_000, state: "waiting" });
  const rows = rowsOf(one, "alice", nextDay);
  assert.deepEqual(rows.map(({ type }) => type), ["day", "message", "message", "message", "new", "message", "day", "message", "pending"]);
  assert.deepEqual(rows.filter(({ type }) => type === "day").map(({ label }) => label), ["Yesterday", "Today"]);
  assert.deepEqual(rows.filter(({ type }) => type === "message").map(({ isFirst }) => isFirst), [true, false, true, true, true]);
  assert.equal(new Set(rows.map(({ key }) => key)).size, rows.length);
});

test("the first of the unread ones is found past one's own", () => {
  const all = [message(1), message(2, { user: "alice" }), message(3), message(4, { user: "alice" }), message(5)];
  assert.equal(firstUnread(all, "alice", 2), 3);
  assert.equal(firstUnread(all, "alice", 0), null);
  assert.equal(firstUnread(all, "alice", 9), 1);
});

const inbox = (rooms, directs = []) => ({ user: { id: 1, username: "alice" }, textMax: 4_000, rooms, directs });

test("the server's count of what is unread holds, but for what is looked at", () => {
  const store = new Store();
  const row = (unread) => ({ id: "r1", title: "Room", seq: 9, unread, last: null });
  store.apply(inbox([row(3)]));
  const one = store.at("room/r1");
  assert.deepEqual([one.unread, one.seq, store.unread], [3, 9, 3]);
  store.receive(one, message(10));
  assert.equal(one.unread, 4);
  store.receive(one, message(10));
  assert.equal(one.unread, 4, "twice is as good as once");
  store.receive(one, message(11, { user: "alice" }));
  assert.equal(one.unread, 4, "one's own are not unread");
  one.unread = 0;
  store.isLooking = (conversation) => conversation === one;
  store.receive(one, message(12));
  store.apply(inbox([row(1)]));
  assert.equal(one.unread, 0);
});

test("the lobby stands first, then what is newest", () => {
  const store = new Store();
  const last = (id) => ({ id, user: "bob", text: "x", timestamp: new Date(NOON + id).toISOString() });
  store.apply(inbox(
    [{ id: "b", title: "B", seq: 1, unread: 0, last: last(2) }, { id: "a", title: "A", seq: 1, unread: 0, last: last(5) },
      { id: "lobby", title: "Lobby", seq: 0, unread: 0, last: null }],
    [{ user: "bob", seq: 1, unread: 0, last: last(3) }, { user: "carol", seq: 1, unread: 1, last: last(4) }, { user: "dan", seq: 0, unread: 0, last: null }],
  ));
  assert.deepEqual(store.rooms.map(({ title }) => title), ["Lobby", "A", "B"]);
  assert.deepEqual(store.directs.map(({ id }) => id), ["carol", "bob"]);
});
