// 004: `typing`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../lib/chatto.mjs";
import { register } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";

/** Alice and carol on one gateway, bob on the other, all in one room. */
const three = async (t) => {
  const people = [await register("alice"), await register("bob"), await register("carol")];
  const room = await people[0].makesRoom();
  const gateways = [GATEWAY_1, GATEWAY_2, GATEWAY_1];
  const clients = [];
  for (const [at, person] of people.entries()) {
    const client = await connect(t, gateways[at], person);
    await client.joins(room);
    clients.push(client);
  }
  const names = people.map(({ name }) => name);
  return { room, names, clients };
};

const by = (name) => (typing) => typing.user === name;

test("the others in the room hear who types, the typist does not", async (t) => {
  const { room, names, clients } = await three(t);
  const [alice, bob, carol] = clients;

  await alice.does("typing", { roomId: room, user: names[0] });

  for (const other of [bob, carol]) {
    assert.deepEqual(await other.next("typing"), { roomId: room, user: names[0] });
  }
  // Carol's goes the way of alice's, after it.
  await carol.does("typing", { roomId: room });
  assert.deepEqual(await alice.next("typing"), { roomId: room, user: names[2] });
  assert.deepEqual(alice.unread("typing"), []);
});

test("typing is told at most twice a second, and always acknowledged", async (t) => {
  const { room, names, clients } = await three(t);
  const [alice, bob, carol] = clients;
  const start = performance.now();
  const typing = { roomId: room, user: names[0] };
  const acks = await Promise.all(Array.from({ length: 50 }, () => alice.ask("typing", typing)));
  const seconds = (performance.now() - start) / 1_000;
  assert.ok(acks.every((ack) => ack.success === true));

  await carol.does("typing", { roomId: room, user: names[2] });
  await bob.next("typing", by(names[2]));
  const told = bob.unread("typing").filter(by(names[0])).length;
  assert.ok(told >= 1 && told <= 2 + 2 * seconds, `${told} in ${seconds} s`);
});

test("typing is not stored and not told outside the room", async (t) => {
  const { room, names, clients } = await three(t);
  const [alice, bob, carol] = clients;
  await bob.does("leave room", { roomId: room });
  await alice.does("typing", { roomId: room, user: names[0] });
  await carol.next("typing", by(names[0]));
  assert.deepEqual(await bob.joins(room, { since: 0 }), []);
  await carol.does("typing", { roomId: room, user: names[2] });
  await bob.next("typing", by(names[2]));
  assert.deepEqual(bob.unread("typing"), []);
});
