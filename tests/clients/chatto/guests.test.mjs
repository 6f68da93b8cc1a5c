// 004: those who come without a token.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../lib/chatto.mjs";
import { PASSWORD, register, request, unique } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";

test("a guest goes by the name in the payload, and talks and types like everybody", async (t) => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  const member = await connect(t, GATEWAY_1, alice);
  await member.joins(room);
  const guest = await connect(t, GATEWAY_2);
  const user = unique("guest");

  await guest.joins(room, { user });
  assert.deepEqual(await member.next("user joined room"), { roomId: room, user });
  const message = await guest.says(room, "hello from outside", { user });
  assert.equal(message.user, user);
  assert.deepEqual(await member.next("chat message"), message);
  await guest.does("typing", { roomId: room, user });
  assert.deepEqual(await member.next("typing"), { roomId: room, user });
  assert.equal((await alice.reads(room))[0].user, user);

  guest.leaves();
  assert.deepEqual(await member.next("user left room"), { roomId: room, user });
});

test("a guest reaches the lobby as well", async (t) => {
  const guest = await connect(t, GATEWAY_1);
  const user = unique("guest");
  await guest.joins("lobby", { user });
  const message = await guest.says("lobby", unique("hello"), { user });
  assert.equal(message.room, "lobby");
  await guest.hears(message.text);
});

test("a guest needs a name, and one that could be a user's", async (t) => {
  const guest = await connect(t, GATEWAY_1);
  await guest.isRefused("invalid_payload", "join room", { roomId: "lobby" });
  await guest.isRefused("invalid_payload", "join room", "lobby");
  for (const user of ["", "a", "a b", "x".repeat(33), "<b>", "ålice", "a\0b"]) {
    await guest.isRefused("invalid_username", "join room", { roomId: "lobby", user });
  }
});

test("a guest can't bear a registered user's name, in whatever letter case", async (t) => {
  const alice = await register("alice");
  const guest = await connect(t, GATEWAY_2);
  for (const user of [alice.name, alice.name.toUpperCase()]) {
    await guest.isRefused("username_taken", "join room", { roomId: "lobby", user });
  }
});

test("a guest loses the name to somebody who registers it", async (t) => {
  const guest = await connect(t, GATEWAY_1);
  const user = unique("guest");
  await guest.joins("lobby", { user });
  const told = new Promise((resolve) => guest.socket.once("error", resolve));
  const gone = new Promise((resolve) => guest.socket.once("disconnect", resolve));
  const body = { username: user, password: PASSWORD };
  assert.equal((await request("POST", "/api/register", { body })).status, 201);
  assert.equal((await told).code, "username_taken");
  await gone;
  const again = await connect(t, GATEWAY_1);
  await again.isRefused("username_taken", "join room", { roomId: "lobby", user });
});

test("a guest can't change names within a room, nor make rooms", async (t) => {
  const guest = await connect(t, GATEWAY_1);
  const user = unique("guest");
  await guest.joins("lobby", { user });
  const payload = { roomId: "lobby", user: unique("other"), text: "I am another" };
  await guest.isRefused("identity_mismatch", "chat message", payload);
  const name = unique("room");
  await guest.isRefused("unauthorised", "create room", { name, user });
  const rooms = (await request("GET", "/api/rooms")).body;
  assert.ok(!rooms.some((room) => room.name === name));
});
