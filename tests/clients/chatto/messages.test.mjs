// 004: `chat message`, its acknowledgement, `clientId`, `message deleted`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ISO, connect, twoInRoom } from "../lib/chatto.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";

test("a message reaches all in the room, its sender included, with the documented fields", async (t) => {
  const { alice, room, here, there } = await twoInRoom(t);
  const before = Date.now();

  const ack = await here.does("chat message", { roomId: room, user: alice.name, text: "Hello!" });

  assert.deepEqual(Object.keys(ack).sort(), ["message", "success"]);
  const { _id, timestamp, ...rest } = ack.message;
  assert.deepEqual(rest, { room, user: alice.name, text: "Hello!", seq: 1 });
  assert.match(_id, /^[\w-]{1,64}$/);
  assert.match(timestamp, ISO);
  assert.ok(Math.abs(Date.parse(timestamp) - before) < 60_000);
  for (const client of [here, there]) {
    assert.deepEqual(await client.next("chat message"), ack.message);
  }
});

test("what is acknowledged is stored", async (t) => {
  const { alice, room, here } = await twoInRoom(t);
  for (let n = 1; n <= 20; n += 1) {
    const message = await here.says(room, `message ${n}`);
    const newest = (await alice.reads(room, 1))[0];
    assert.deepEqual([newest.id, newest.text, newest.seq], [message._id, message.text, n]);
  }
});

test("without a callback a message is stored and told as well", async (t) => {
  const { room, here, there } = await twoInRoom(t);
  here.tells("chat message", { roomId: room, text: "no answer wanted" });
  for (const client of [here, there]) await client.hears("no answer wanted");
  assert.deepEqual(here.unread("error"), []);
});

test("200 events sent at once are acknowledged in the order in which they were sent", async (t) => {
  const { room, here, there } = await twoInRoom(t);
  const answered = [];
  const sent = Array.from({ length: 200 }, async (_, n) => {
    // Some are refused at once, some need storage: the order is kept all the same.
    const event = n % 5 === 3 ? "no such event" : "chat message";
    const ack = await here.ask(event, { roomId: room, text: n % 5 === 4 ? "" : `message ${n}` });
    answered.push(n);
    return ack;
  });
  const acks = await Promise.all(sent);

  assert.deepEqual(answered, Array.from({ length: 200 }, (_, n) => n));
  const stored = acks.filter((ack) => ack.success).map((ack) => ack.message);
  assert.deepEqual(stored.map(({ seq }) => seq), Array.from({ length: 120 }, (_, n) => n + 1));
  for (const client of [here, there]) {
    assert.deepEqual(await client.many("chat message", 120), stored);
  }
});

test("who has not joined may not post, whoever is in the room", async (t) => {
  const { alice, bob, room, there } = await twoInRoom(t);
  const outside = await connect(t, GATEWAY_1, alice);
  const payload = { roomId: room, user: alice.name, text: "let me in" };
  await outside.isRefused("not_joined", "chat message", payload);
  await outside.isRefused("not_joined", "typing", payload);
  await outside.isRefused("not_joined", "leave room", payload);
  await bob.posts(room, "marker");
  await there.hears("marker");
  assert.deepEqual(there.unread("chat message"), []);
});

test("nobody writes in another's name; one's own counts in any letter case", async (t) => {
  const { alice, bob, room, here, there } = await twoInRoom(t);
  const payload = { roomId: room, user: bob.name, text: "I am bob" };
  for (const event of ["chat message", "typing", "leave room", "join room"]) {
    await here.isRefused("identity_mismatch", event, payload);
  }
  assert.equal((await here.says(room, "me", { user: alice.name.toUpperCase() })).user, alice.name);
  await there.hears("me");
  assert.deepEqual(there.unread("chat message"), []);
  assert.deepEqual((await alice.reads(room)).map(({ text }) => text), ["me"]);
});

test("one `clientId` sent at once through both gateways is one message", async (t) => {
  const { alice, room, here, there } = await twoInRoom(t);
  const elsewhere = await connect(t, GATEWAY_2, alice);
  await elsewhere.joins(room);
  for (let round = 0; round < 20; round += 1) {
    const clientId = `${room}:${round}`;
    const send = (client) => client.says(room, `round ${round}`, { clientId });
    const [one, two] = await Promise.all([send(here), send(elsewhere)]);
    assert.deepEqual(one, two);
    assert.deepEqual(await send(here), one, "a late retry gets the first answer");
    const changed = await elsewhere.says(room, "another text", { clientId });
    assert.deepEqual(changed, one, "the key decides, not the text");
  }
  await here.says(room, "marker");
  for (const client of [here, there, elsewhere]) {
    await client.hears("marker");
    const heard = client.unread("chat message").map(({ text }) => text);
    assert.deepEqual(heard, Array.from({ length: 20 }, (_, round) => `round ${round}`));
  }
  assert.equal((await alice.reads(room)).length, 21);
});

test("a `clientId` is its author's own, and has its rules", async (t) => {
  const { room, here, there } = await twoInRoom(t);
  const clientId = "x".repeat(64);
  const mine = await here.says(room, "mine", { clientId });
  const yours = await there.says(room, "yours", { clientId });
  assert.notEqual(mine._id, yours._id);
  for (const bad of ["", "x".repeat(65), "a\nb", "schlüssel", "🔑"]) {
    const payload = { roomId: room, text: "hi", clientId: bad };
    await here.isRefused("invalid_client_id", "chat message", payload);
  }
  const payload = { roomId: room, text: "hi", clientId: 7 };
  await here.isRefused("invalid_payload", "chat message", payload);
});

test("a message deleted over REST vanishes at every socket", async (t) => {
  const { alice, bob, room, here, there } = await twoInRoom(t);
  const { _id } = await here.says(room, "oops");
  await bob.posts(room, "still here");

  await alice.rest("DELETE", `/api/conversations/${room}/${_id}`);

  for (const client of [here, there]) {
    assert.deepEqual(await client.next("message deleted"), { _id, room });
  }
  const late = await connect(t, GATEWAY_2, bob);
  assert.deepEqual((await late.joins(room)).map(({ text }) => text), ["still here"]);
});
