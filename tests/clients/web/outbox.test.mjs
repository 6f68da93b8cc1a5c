// What is written in the web client goes out in order, is never lost and never doubled.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Conversation } from "../../../services/message-api/web/conversation.js";
import { Outbox, Refusal } from "../../../services/message-api/web/outbox.js";
import { mentions, preview, typists } from "../../../services/message-api/web/words.js";

/** As a browser's sessionStorage. */
class Storage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => this.items.set(key, value);
  removeItem = (key) => this.items.delete(key);
}

let conversation, storage, isConnected, sent, answer, ids, outbox;

const open = () => new Outbox({
  send: (to, item) => {
    sent.push([item.text, item.clientId]);
    return answer(item);
  },
  canSend: () => isConnected,
  storage,
  name: "alice",
  changed: () => {},
  newId: () => `id-${(ids += 1)}`,
});

const settled = () => new Promise((resolve) => setImmediate(resolve));
const stored = (item, id) => ({ id, order: id, user: "alice", text: item.text, at: 0, media: [], isRead: false });
const states = () => conversation.pending.map(({ text, state }) => [text, state]);

beforeEach(() => {
  [conversation, storage, isConnected, sent, ids] = [new Conversation("room", "r1"), new Storage(), true, [], 0];
  answer = async (item) => stored(item, sent.length);
  outbox = open();
});

test("one after the other, in the order in which they were written", async () => {
  const waiting = [];
  answer = (item) => new Promise((resolve) => waiting.push(() => resolve(stored(item, waiting.length))));
  outbox.add(conversation, "first");
  outbox.add(conversation, "second");
  await settled();
  assert.deepEqual(sent.map(([text]) => text), ["first"]);
  assert.deepEqual(states(), [["first", "sending"], ["second", "waiting"]]);
  waiting[0]();
  await settled();
  assert.deepEqual(sent.map(([text]) => text), ["first", "second"]);
  waiting[1]();
  await settled();
  assert.deepEqual(conversation.messages.map(({ text }) => text), ["first", "second"]);
  assert.ok(outbox.isEmpty);
});

test("without a connection it waits, and goes with the same clientId when there is one", async () => {
  answer = async () => {
    isConnected = false;
    throw new Refusal("cut off", "unanswered");
  };
  outbox.add(conversation, "hi");
  await settled();
  assert.deepEqual(states(), [["hi", "waiting"]]);
  isConnected = true;
  answer = async (item) => stored(item, 7);
  outbox.flushAll();
  await settled();
  assert.deepEqual(sent, [["hi", "id-1"], ["hi", "id-1"]]);
  assert.deepEqual(conversation.messages.map(({ id }) => id), [7]);
});

test("what the server will never take has failed, says why, and holds up nothing", async () => {
  answer = async (item) => {
    if (item.text === "bad") throw new Refusal("Too long.", "text_too_long");
    return stored(item, 2);
  };
  outbox.add(conversation, "bad");
  outbox.add(conversation, "good");
  await settled();
  assert.deepEqual(states(), [["bad", "failed"]]);
  assert.equal(conversation.pending[0].error, "Too long.");
  assert.deepEqual(conversation.messages.map(({ text }) => text), ["good"]);
});

test("what has failed is tried again or thrown away, by hand", async () => {
  answer = async () => {
    throw new Refusal("No.", "forbidden");
  };
  outbox.add(conversation, "one");
  outbox.add(conversation, "two");
  await settled();
  outbox.discard(conversation, "id-2");
  answer = async (item) => stored(item, 1);
  outbox.retry(conversation, "id-1");
  await settled();
  assert.deepEqual(sent.map(([, id]) => id), ["id-1", "id-2", "id-1"]);
  assert.ok(outbox.isEmpty);
});

test("a reload takes up what was unsent, and what was under way", async () => {
  answer = () => new Promise(() => {});
  outbox.add(conversation, "under way");
  outbox.add(conversation, "waits");
  await settled();
  conversation = new Conversation("room", "r1");
  answer = async (item) => stored(item, sent.length);
  outbox = open();
  outbox.restore(() => conversation);
  outbox.flushAll();
  await settled();
  assert.deepEqual(sent.map(([text, id]) => [text, id]), [["under way", "id-1"], ["under way", "id-1"], ["waits", "id-2"]]);
  assert.equal(storage.items.size, 0);
});

test("what is kept and cannot be read is passed over", async (t) => {
  storage.getItem = () => "{";
  outbox.restore(() => t.fail("there is nothing to restore"));
  outbox.add(conversation, "hi");
  await settled();
  assert.deepEqual(conversation.messages.map(({ text }) => text), ["hi"]);
});

test("a preview is one line without marks", () => {
  assert.equal(preview("# Hello\n\n**big** `world` ![a cat](/media/x) [here](https://x.y)"), "Hello big world 🖼 a cat here");
  assert.equal(preview("snake_case stays, <b>so</b> does this"), "snake_case stays, <b>so</b> does this");
});

test("a name is meant where it stands alone", () => {
  for (const yes of ["@al", "hi @AL!", "(@al)", "@al, look"]) assert.ok(mentions(yes, "al"), yes);
  for (const no of ["al", "@alice", "x@al", "@al-2"]) assert.ok(!mentions(no, "al"), no);
  assert.ok(mentions("@a.b", "a.b") && !mentions("@axb", "a.b"));
});

test("who types, in words", () => {
  assert.equal(typists([]), "");
  assert.equal(typists(["bob"]), "bob is typing");
  assert.equal(typists(["bob", "eve"]), "bob and eve are typing");
  assert.equal(typists(["bob", "eve", "dan"]), "3 people are typing");
});
