// 004: `create room` and `room created`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ISO, connect } from "../lib/chatto.mjs";
import { register, request, unique } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";

/** Two users, each on a gateway of their own. */
const pair = async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  return [await connect(t, GATEWAY_1, alice), await connect(t, GATEWAY_2, bob), alice, bob];
};

const named = (name) => (room) => room.name === name;

test("a new room is told to every client, with the documented fields", async (t) => {
  const [here, there, alice] = await pair(t);
  const guest = await connect(t, GATEWAY_2);
  const name = unique("Sports");

  const ack = await here.does("create room", { name });

  assert.deepEqual(Object.keys(ack).sort(), ["room", "success"]);
  assert.deepEqual(Object.keys(ack.room).sort(), ["_id", "createdAt", "name"]);
  assert.match(ack.room._id, /^[\w-]{1,64}$/);
  assert.match(ack.room.createdAt, ISO);
  assert.equal(ack.room.name, name);
  for (const client of [here, there, guest]) {
    assert.deepEqual(await client.next("room created", named(name)), ack.room);
  }
  const rooms = (await request("GET", "/api/rooms")).body;
  assert.deepEqual(rooms.find(named(name)), ack.room);
  const { conversations } = await alice.rest("GET", "/api/conversations/?limit=1000");
  const row = conversations.find(({ id }) => id === ack.room._id);
  assert.deepEqual([row.title, row.msgcount], [name, 0]);
});

test("a room made over 001's REST is told to 004's clients", async (t) => {
  const [here, there, alice] = await pair(t);
  const name = unique("Topics");
  const _id = await alice.makesRoom(name);
  for (const client of [here, there]) {
    assert.equal((await client.next("room created", named(name)))._id, _id);
  }
});

test("a name of 1 to 80 characters makes a room, whatever the characters", async (t) => {
  const [here] = await pair(t);
  const filled = (text) => text + unique("").padEnd(80 - [...text].length, "x");
  for (const name of [filled(""), filled("🏀🏀🏀 "), filled("<b>&'\";-- "), filled("مرحبا ")]) {
    assert.equal([...name].length, 80);
    assert.equal((await here.does("create room", { name })).room.name, name);
  }
  const spaced = unique("spaced");
  assert.equal((await here.does("create room", { name: `  ${spaced}\t` })).room.name, spaced);
});

test("a name that is empty, too long or has control characters is refused", async (t) => {
  const [here] = await pair(t);
  for (const name of ["", "   ", "x".repeat(81), "🏀".repeat(81), "a\nb", "a\0b"]) {
    await here.isRefused("invalid_name", "create room", { name });
  }
  for (const payload of [{}, { name: null }, { name: 7 }, { name: ["a"] }, "Sports", 7, null, []]) {
    await here.isRefused("invalid_payload", "create room", payload);
  }
});

test("a name that is taken is refused in whatever letter case", async (t) => {
  const [here, there] = await pair(t);
  const name = unique("École");
  await here.does("create room", { name });
  for (const again of [name, name.toUpperCase(), name.toLowerCase(), ` ${name} `]) {
    await there.isRefused("name_taken", "create room", { name: again });
  }
  await there.isRefused("name_taken", "create room", { name: "LOBBY" });
});

test("one name made at the same instant through two gateways is one room", async (t) => {
  const [here, there] = await pair(t);
  for (let round = 0; round < 20; round += 1) {
    const name = unique("race");
    const acks = await Promise.all([
      here.ask("create room", { name }),
      there.ask("create room", { name: name.toUpperCase() }),
    ]);
    const [made, refused] = acks.sort((a, b) => Number(b.success) - Number(a.success));
    assert.equal(made.success, true);
    assert.deepEqual([refused.success, refused.code], [false, "name_taken"]);

    const marker = (await here.does("create room", { name: unique("marker") })).room.name;
    for (const client of [here, there]) {
      await client.next("room created", named(marker));
      const told = client.unread("room created").filter((room) => room._id === made.room._id);
      assert.deepEqual(told, [made.room]);
      const others = client.unread("room created").map((room) => room.name.toLowerCase());
      assert.equal(others.filter((other) => other === name).length, 1);
    }
  }
});
