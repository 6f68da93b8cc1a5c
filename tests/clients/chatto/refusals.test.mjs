// 004: bad input of every kind is told, and the connection lives on.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../lib/chatto.mjs";
import { register } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";

// No room bears it; the others can't be any room's id.
const UNKNOWN_ROOM = "0123456789abcdef";
const NO_IDS = [
  "ffffffffffffffff",
  "LOBBY",
  "",
  "../lobby",
  "64a1a0c1e4b0c1d2e3f4a5b6",
  "x".repeat(60_000),
  "' OR 1=1 --",
  "a\0b",
];
const NOT_STRINGS = [7, 1.5, true, [], ["lobby"], {}, { $ne: "" }];
const NOT_OBJECTS = [7, 0, true, null, [], [{}], [["lobby"]]];

const inRoom = async (t, gateway = GATEWAY_1) => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  const client = await connect(t, gateway, alice);
  await client.joins(room);
  return { alice, room, client };
};

/** Each bad payload, the event that it is bad for, and the code that tells it. */
const badOnes = (room) => [
  ...["join room", "leave room", "chat message"].flatMap((event) => [
    [event, [], "invalid_payload"],
    ...NOT_OBJECTS.map((payload) => [event, [payload], "invalid_payload"]),
    [event, [{ text: "hi" }], "invalid_payload"],
    [event, [{ roomId: null, text: "hi" }], "invalid_payload"],
    ...NOT_STRINGS.map((roomId) => [event, [{ roomId, text: "hi" }], "invalid_payload"]),
    ...NOT_STRINGS.map((user) => [event, [{ roomId: room, user, text: "hi" }], "invalid_payload"]),
    ...NO_IDS.map((roomId) => [event, [{ roomId, text: "hi" }], "not_found"]),
    [event, [{ roomId: room, user: "a b", text: "hi" }], "invalid_username"],
  ]),
  ...[UNKNOWN_ROOM, ...NO_IDS].map((roomId) => ["join room", [roomId], "not_found"]),
  ["join room", [{ roomId: UNKNOWN_ROOM }], "not_found"],
  ...["leave room", "chat message", "typing"].map((event) => [
    event,
    [{ roomId: UNKNOWN_ROOM, text: "hi" }],
    "not_joined",
  ]),
  ["chat message", ["hi"], "invalid_payload"],
  ["chat message", [{ roomId: room }], "invalid_payload"],
  ["chat message", [{ roomId: room, text: null }], "invalid_payload"],
  ...NOT_STRINGS.map((text) => ["chat message", [{ roomId: room, text }], "invalid_payload"]),
  ["chat message", [{ roomId: room, text: Buffer.from("hi") }], "invalid_payload"],
  ...NOT_STRINGS.map((roomId) => ["typing", [{ roomId }], "invalid_payload"]),
  ["no such event", [{ roomId: room }], "unknown_event"],
  ["message history", [[]], "unknown_event"],
  ["Chat Message", [{ roomId: room, text: "hi" }], "unknown_event"],
  ["", [{}], "unknown_event"],
  ["__proto__", [{}], "unknown_event"],
];

test("a refusal is acknowledged with success, error and code", async (t) => {
  const { room, client } = await inRoom(t);
  for (const [event, payload, code] of badOnes(room)) {
    const shown = `${event} ${JSON.stringify(payload)?.slice(0, 100)}`;
    const { success, error, ...rest } = await client.ask(event, ...payload);
    assert.deepEqual([success, Object.keys(rest)], [false, ["code"]], shown);
    assert.equal(rest.code, code, `${shown}: ${error}`);
    assert.ok(error.length > 0 && error.length < 300, shown);
  }
  await client.says(room, "still here");
  await client.hears("still here");
  assert.deepEqual(client.unread("error"), []);
});

test("without a callback a refusal comes as `error` with event, code and error", async (t) => {
  const { room, client } = await inRoom(t, GATEWAY_2);
  for (const [event, payload, code] of badOnes(room)) {
    const shown = `${event} ${JSON.stringify(payload)?.slice(0, 100)}`;
    client.tells(event, ...payload);
    const refusal = await client.next("error");
    assert.deepEqual(Object.keys(refusal).sort(), ["code", "error", "event"], shown);
    assert.equal(refusal.event, event, shown);
    assert.equal(refusal.code, code, `${shown}: ${refusal.error}`);
    assert.ok(refusal.error.length > 0, shown);
  }
  await client.says(room, "still here");
  await client.hears("still here");
});

test("the name of an unknown event is told back, but not all of a long one", async (t) => {
  const { client } = await inRoom(t);
  client.tells("x".repeat(60_000), {});
  assert.equal((await client.next("error")).event, "x".repeat(64));
});

test("a refused event does not undo what was before", async (t) => {
  const { room, client } = await inRoom(t);
  await client.isRefused("not_found", "join room", { roomId: UNKNOWN_ROOM });
  await client.isRefused("invalid_payload", "join room", { roomId: room, since: "yesterday" });
  await client.says(room, "still in the room");
  await client.hears("still in the room");
});

test("text that is no Unicode is told, and the connection lives on", async (t) => {
  const { room, client } = await inRoom(t);
  // Half a character: JavaScript sends it, no encoding of Unicode has it.
  await client.isRefused("invalid_payload", "chat message", { roomId: room, text: "a\ud83d" });
  client.tells("chat message", { roomId: room, text: "\udc4b" });
  assert.equal((await client.next("error")).event, "chat message");
  await client.says(room, "still here");
});

test("a hundred bad events between good ones change nothing for the others", async (t) => {
  const { alice, room, client } = await inRoom(t);
  const other = await connect(t, GATEWAY_2, await register("bob"));
  await other.joins(room);
  const sent = [];
  for (let n = 0; n < 100; n += 1) {
    client.tells("chat message", NOT_OBJECTS[n % NOT_OBJECTS.length]);
    sent.push(client.says(room, `message ${n}`));
  }
  await Promise.all(sent);
  const heard = await other.many("chat message", 100);
  assert.deepEqual(heard.map(({ text }) => text), Array.from({ length: 100 }, (_, n) => `message ${n}`));
  assert.equal((await alice.reads(room)).length, 100);
  assert.equal((await client.many("error", 100)).length, 100);
});
