// 004: `join room`, `leave room`, `message history`, `user joined room`, `user left room`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ISO, connect } from "../lib/chatto.mjs";
import { register } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";

const pair = async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const room = await alice.makesRoom();
  return { alice, bob, room };
};

/** Who comes and goes is told in order, gateway by gateway: once all have heard of somebody who
 * passes through each of them, all that went before has been told. */
const passThrough = async (t, room, ...watchers) => {
  const stranger = await register("stranger");
  const theirs = ({ user }) => user === stranger.name;
  for (const gateway of [GATEWAY_1, GATEWAY_2]) {
    const visitor = await connect(t, gateway, stranger);
    await visitor.joins(room);
    await visitor.does("leave room", { roomId: room });
    for (const watcher of watchers) {
      await watcher.next("user joined room", theirs);
      await watcher.next("user left room", theirs);
    }
  }
};

test("joining answers the newest 50 messages, oldest first, with the documented fields", async (t) => {
  const { alice, bob, room } = await pair(t);
  for (let n = 1; n <= 53; n += 1) await alice.posts(room, `message ${n}`);
  const client = await connect(t, GATEWAY_2, bob);

  const history = await client.joins(room, { user: bob.name });

  assert.deepEqual(
    history.map(({ text }) => text),
    Array.from({ length: 50 }, (_, at) => `message ${at + 4}`),
  );
  assert.deepEqual(history.map(({ seq }) => seq), Array.from({ length: 50 }, (_, at) => at + 4));
  const rows = await alice.reads(room, 50);
  for (const [at, message] of history.entries()) {
    assert.deepEqual(message, {
      _id: rows[at].id,
      room,
      user: alice.name,
      text: rows[at].text,
      timestamp: rows[at].timestamp,
      seq: rows[at].seq,
    });
    assert.match(message.timestamp, ISO);
    assert.equal(typeof message._id, "string");
  }
});

test("the bare id joins like an object, and so does the lobby", async (t) => {
  const { alice, bob, room } = await pair(t);
  await alice.posts(room, "hello");
  const client = await connect(t, GATEWAY_2, bob);
  assert.deepEqual(await client.ask("join room", room), { success: true });
  assert.equal((await client.next("message history"))[0].text, "hello");
  assert.deepEqual(await client.ask("join room", "lobby"), { success: true });
  await client.next("message history");
  assert.deepEqual(await client.ask("leave room", room), { success: true });
});

test("history comes before the acknowledgement, and an empty room has an empty one", async (t) => {
  const { alice, room } = await pair(t);
  const client = await connect(t, GATEWAY_1, alice);
  await client.does("join room", { roomId: room });
  assert.deepEqual(client.unread("message history"), [[]]);
});

test("those in the room hear who joins, once, and the joiner does not", async (t) => {
  const { alice, bob, room } = await pair(t);
  const watcher = await connect(t, GATEWAY_1, alice);
  await watcher.joins(room);
  const first = await connect(t, GATEWAY_2, bob);
  await first.joins(room);

  assert.deepEqual(await watcher.next("user joined room"), { roomId: room, user: bob.name });

  const second = await connect(t, GATEWAY_2, bob);
  const third = await connect(t, GATEWAY_1, bob);
  for (const another of [second, third, first]) await another.joins(room);
  await passThrough(t, room, watcher, first, second, third);
  for (const client of [watcher, first, second, third]) {
    assert.deepEqual(client.unread("user joined room"), []);
  }
});

test("a user has left when the last socket leaves the room or goes, and it is told once", async (t) => {
  const { alice, bob, room } = await pair(t);
  const watchers = [await connect(t, GATEWAY_1, alice), await connect(t, GATEWAY_2, alice)];
  for (const watcher of watchers) await watcher.joins(room);
  const clients = [];
  for (const gateway of [GATEWAY_1, GATEWAY_1, GATEWAY_2, GATEWAY_2]) {
    const client = await connect(t, gateway, bob);
    await client.joins(room);
    clients.push(client);
  }
  for (const watcher of watchers) await watcher.next("user joined room");

  await clients[0].does("leave room", { roomId: room });
  await clients[2].does("leave room", { roomId: room, user: bob.name });
  clients[1].leaves();
  await passThrough(t, room, ...watchers);
  for (const watcher of watchers) assert.deepEqual(watcher.unread("user left room"), []);

  clients[3].leaves();
  for (const watcher of watchers) {
    assert.deepEqual(await watcher.next("user left room"), { roomId: room, user: bob.name });
  }
  await passThrough(t, room, ...watchers);
  for (const watcher of watchers) assert.deepEqual(watcher.unread("user left room"), []);
});

test("a disconnect leaves every room, and coming back is joining again", async (t) => {
  const { alice, bob, room } = await pair(t);
  const other = await alice.makesRoom();
  const watcher = await connect(t, GATEWAY_1, alice);
  const client = await connect(t, GATEWAY_2, bob);
  for (const id of [room, other]) {
    await watcher.joins(id);
    await client.joins(id);
    assert.deepEqual(await watcher.next("user joined room"), { roomId: id, user: bob.name });
  }

  client.leaves();

  const left = await watcher.many("user left room", 2);
  assert.deepEqual(left.map(({ roomId }) => roomId).sort(), [room, other].sort());
  assert.ok(left.every(({ user }) => user === bob.name));
  const again = await connect(t, GATEWAY_1, bob);
  await again.joins(room);
  assert.deepEqual(await watcher.next("user joined room"), { roomId: room, user: bob.name });
});

test("who has left hears nothing more of the room, and may not post", async (t) => {
  const { alice, bob, room } = await pair(t);
  const here = await connect(t, GATEWAY_1, alice);
  const there = await connect(t, GATEWAY_2, bob);
  for (const client of [here, there]) {
    await client.joins(room);
    await client.joins("lobby");
  }
  await there.does("leave room", { roomId: room });
  await there.isRefused("not_joined", "leave room", { roomId: room });
  await there.isRefused("not_joined", "chat message", { roomId: room, text: "hello?" });
  await there.isRefused("not_joined", "typing", { roomId: room, user: bob.name });

  await here.says(room, "without bob");
  await here.hears("without bob");
  const marker = (await here.says("lobby", room))._id;
  await there.next("chat message", ({ _id }) => _id === marker);
  assert.deepEqual(there.unread("chat message").filter((message) => message.room === room), []);
});

test("a quiet join hears and may post, and nobody is told of it", async (t) => {
  const [alice, bob, carol] = [await register("alice"), await register("bob"), await register("carol")];
  const room = await alice.makesRoom();
  const [watcher, quiet, loud] = [await connect(t, GATEWAY_1, alice), await connect(t, GATEWAY_2, bob), await connect(t, GATEWAY_2, carol)];
  await watcher.joins(room);
  await quiet.joins(room, { quiet: true });
  await loud.joins(room);
  assert.deepEqual(await watcher.next("user joined room"), { roomId: room, user: carol.name });
  await quiet.says(room, "from the dark");
  await watcher.hears("from the dark");
  // Looked at after all, and no longer.
  await quiet.joins(room, { since: 1 });
  assert.deepEqual(await watcher.next("user joined room"), { roomId: room, user: bob.name });
  await quiet.joins(room, { since: 1, quiet: true });
  assert.deepEqual(await watcher.next("user left room"), { roomId: room, user: bob.name });
  await watcher.says(room, "still heard");
  await quiet.hears("still heard");
  quiet.leaves();
  await loud.does("leave room", { roomId: room });
  assert.deepEqual(await watcher.next("user left room"), { roomId: room, user: carol.name });
  assert.deepEqual([watcher.unread("user joined room"), watcher.unread("user left room")], [[], []]);
  const other = await connect(t, GATEWAY_1, carol);
  for (const wrong of ["yes", 1, {}]) await other.isRefused("invalid_payload", "join room", { roomId: room, quiet: wrong });
});
