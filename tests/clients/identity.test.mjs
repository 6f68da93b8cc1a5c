// Identity comes from the session or token, never from a payload: whoever names somebody else as
// the author is refused, in every protocol, and nothing is stored.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "./lib/chatto.mjs";
import { register, request, unique } from "./lib/people.mjs";
import { GATEWAY_1 } from "./lib/stack.mjs";

test("nobody speaks for somebody else on a socket, whichever the protocol", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const room = await alice.makesRoom(unique("identity"));
  const here = await connect(t, GATEWAY_1, alice);
  await here.joins(room);
  here.tells("chatHistory", { user: bob.name });
  await here.next("chatHistory");
  const text = unique("forged");
  for (const [event, payload] of [
    ["send:message", { author: bob.name, content: text }],
    ["chatMessage", { msg: text, username: bob.name }],
    ["chatMessage", { msg: text, author: bob.name }],
    ["typing", { user: bob.name }],
    ["chat message", { roomId: room, user: bob.name, text }],
    ["typing", { roomId: room, user: bob.name }],
    ["join room", { roomId: room, user: bob.name }],
    ["create room", { name: text, user: bob.name }],
  ]) {
    await here.isRefused("identity_mismatch", event, payload);
  }
  const messenger = await connect(t, `${GATEWAY_1}/chat`, alice, { path: "/ws" });
  for (const field of ["author", "sender", "senderUsername"]) {
    const payload = { user: bob.name, message: text, [field]: bob.name };
    await messenger.isRefused("identity_mismatch", "send-message", payload);
  }
  assert.deepEqual(await alice.reads(room), []);
});

test("nobody speaks for somebody else over REST", async () => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const room = await alice.makesRoom(unique("identity"));
  const url = `/api/conversations/${room}`;
  for (const field of ["user", "author"]) {
    const body = { text: "forged", [field]: bob.name };
    const answer = await request("POST", url, { token: alice.token, body });
    assert.deepEqual([answer.status, answer.body.status], [403, "unauthorised"]);
  }
  const body = { text: "my own", user: alice.name.toUpperCase() };
  assert.equal((await request("POST", url, { token: alice.token, body })).status, 200);
  assert.deepEqual((await alice.reads(room)).map((row) => row.text), ["my own"]);
});

test("a clientId used before answers the chat that it sent, to whom it was sent", async (t) => {
  const [alice, bob, carol] = [await register("alice"), await register("bob"), await register("carol")];
  const messenger = await connect(t, `${GATEWAY_1}/chat`, alice, { path: "/ws" });
  const send = (user, message) => messenger.ask("send-message", { user, message, clientId: "key" });
  const first = await send(bob.name, "for Bob only");
  const again = await send(carol.name, "hello Carol");
  assert.equal(first.chat.recipient, bob.name);
  assert.deepEqual(again.chat, first.chat);
});
