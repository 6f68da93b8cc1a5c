// 004: who gets in, and whose sockets are closed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, isRefused } from "../lib/chatto.mjs";
import { PASSWORD, register, request } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";
import { badOnes, claims, signed } from "../lib/tokens.mjs";

test("a token opens sockets on every gateway", async (t) => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  for (const gateway of [GATEWAY_1, GATEWAY_2]) {
    const client = await connect(t, gateway, alice);
    await client.joins(room);
    assert.equal((await client.says(room, "it is me")).user, alice.name);
  }
});

test("a token of a login is as good, also in the query, as old clients send it", async (t) => {
  const alice = await register("alice");
  const body = { username: alice.name, password: PASSWORD };
  const { token } = (await request("POST", "/api/login", { body })).body;
  const client = await connect(t, GATEWAY_1, undefined, { query: { token } });
  await client.joins("lobby");
  await client.isRefused("identity_mismatch", "join room", { roomId: "lobby", user: "somebody" });
});

test("a token that is not believed is refused as `Invalid token`", async (t) => {
  const alice = await register("alice");
  // The server's own secret, so that what is refused below is refused for its content.
  await connect(t, GATEWAY_1, { token: signed(claims(alice.token)) });
  for (const [kind, token] of Object.entries(badOnes(alice.token))) {
    for (const gateway of [GATEWAY_1, GATEWAY_2]) {
      assert.equal(await isRefused(t, gateway, { auth: { token } }), "Invalid token", kind);
    }
  }
});

test("a token that is no string is refused as `Invalid token`", async (t) => {
  for (const token of [7, 0, true, false, {}, [], ["a.b.c"], { token: "a.b.c" }]) {
    const reason = await isRefused(t, GATEWAY_1, { auth: { token } });
    assert.equal(reason, "Invalid token", JSON.stringify(token));
  }
});

test("no token, or an empty one, means a guest", async (t) => {
  for (const auth of [undefined, {}, { token: "" }, { token: null }]) {
    const client = await connect(t, GATEWAY_1, undefined, { auth });
    await client.isRefused("unauthorised", "create room", { name: "a guest's" });
  }
});

test("the namespace /chatto is the same house", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const room = await alice.makesRoom();
  const here = await connect(t, `${GATEWAY_1}/chatto`, alice);
  const there = await connect(t, GATEWAY_2, bob);
  await there.joins(room);
  await here.joins(room);
  await here.says(room, "from /chatto");
  assert.equal((await there.hears("from /chatto")).user, alice.name);
  const refused = await isRefused(t, `${GATEWAY_1}/chatto`, { auth: { token: "garbage" } });
  assert.equal(refused, "Invalid token");
});

test("logging out closes the session's sockets on every gateway, and nobody else's", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const body = { username: alice.name, password: PASSWORD };
  const otherSession = (await request("POST", "/api/login", { body })).body;
  const sockets = [await connect(t, GATEWAY_1, alice), await connect(t, GATEWAY_2, alice)];
  const others = [await connect(t, GATEWAY_1, otherSession), await connect(t, GATEWAY_2, bob)];

  await alice.rest("POST", "/logout");

  for (const socket of sockets) {
    assert.equal(await socket.next("disconnect"), "io server disconnect");
  }
  for (const gateway of [GATEWAY_1, GATEWAY_2]) {
    assert.equal(await isRefused(t, gateway, { auth: { token: alice.token } }), "Invalid token");
  }
  for (const other of others) {
    await other.joins("lobby");
    assert.deepEqual(other.unread("disconnect"), []);
  }
});
