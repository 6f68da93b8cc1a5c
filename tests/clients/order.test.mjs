// Two clients write as fast as they can through different gateways: one order for everybody.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, twoInRoom } from "./lib/chatto.mjs";
import { register } from "./lib/people.mjs";
import { GATEWAY_1, GATEWAY_2 } from "./lib/stack.mjs";

/** What each of the two sends. */
const EACH = 500;

/** All of it, on a busy machine, in milliseconds. */
const PATIENCE = 60_000;

test("1,000 messages from two gateways come once, in one order, at every socket", async (t) => {
  const { alice, bob, room, here, there } = await twoInRoom(t);
  const carol = await register("carol");
  const listeners = [await connect(t, GATEWAY_1, carol), await connect(t, GATEWAY_2, carol)];
  for (const listener of listeners) await listener.joins(room);

  const acks = { [alice.name]: [], [bob.name]: [] };
  const shout = (client, name) => {
    for (let n = 0; n < EACH; n += 1) {
      const payload = { roomId: room, user: name, text: `${name} ${n}` };
      client.socket.emit("chat message", payload, (ack) => acks[name].push(ack));
    }
  };
  shout(here, alice.name);
  shout(there, bob.name);

  const sockets = [here, there, ...listeners];
  const heard = await Promise.all(
    sockets.map((socket) => socket.many("chat message", 2 * EACH, PATIENCE)),
  );
  const [order, ...others] = heard;

  assert.deepEqual(order.map(({ seq }) => seq), Array.from({ length: 2 * EACH }, (_, n) => n + 1));
  for (const other of others) assert.deepEqual(other, order);
  const rows = await alice.reads(room, 2 * EACH);
  assert.deepEqual(
    rows.map(({ id, user, text, seq }) => [id, user, text, seq]),
    order.map(({ _id, user, text, seq }) => [_id, user, text, seq]),
  );

  // A round trip behind the last message: all that was sent before has been answered.
  const ends = [await here.says(room, "the end"), await there.says(room, "the very end")];
  for (const { name } of [alice, bob]) {
    // What one sends stays in the order in which it was sent, and is acknowledged in that order.
    const own = order.filter(({ user }) => user === name);
    assert.deepEqual(own.map(({ text }) => text), Array.from({ length: EACH }, (_, n) => `${name} ${n}`));
    assert.deepEqual(acks[name], own.map((message) => ({ success: true, message })));
  }
  for (const socket of sockets) {
    assert.deepEqual(await socket.many("chat message", 2), ends);
    assert.deepEqual(socket.unread("chat message"), []);
  }
});
