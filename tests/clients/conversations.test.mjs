// 001: the live WebSocket `/ws/conversations/{id}`, through two gateways.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ISO, connect } from "./lib/chatto.mjs";
import { register, registerWithCookie, request } from "./lib/people.mjs";
import { isRefused, open } from "./lib/plain.mjs";
import { GATEWAY_1, GATEWAY_2 } from "./lib/stack.mjs";
import { badOnes } from "./lib/tokens.mjs";

const at = (room, { token, ...more } = {}) => {
  const query = new URLSearchParams({ ...(token && { token }), ...more });
  return `/ws/conversations/${room}?${query}`;
};

/** Two users watch one conversation, each through a gateway of their own. */
const two = async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const room = await alice.makesRoom();
  const here = await open(t, GATEWAY_1, at(room, alice));
  const there = await open(t, GATEWAY_2, at(room, bob));
  return { alice, bob, room, here, there };
};

const texts = (frames) => frames.map(({ message }) => message.text);

test("what a client sends is posted, answered, and told to all, the sender included", async (t) => {
  const { alice, room, here, there } = await two(t);

  here.sends({ text: "Hello 👋" });

  const posted = await here.next("posted");
  assert.deepEqual(Object.keys(posted).sort(), ["status", "url"]);
  assert.equal(posted.status, "success");
  const stored = await alice.rest("GET", posted.url);
  assert.match(stored.timestamp, ISO);
  assert.deepEqual(stored, {
    id: posted.url.split("/").at(-1),
    user: alice.name,
    text: "Hello 👋",
    timestamp: stored.timestamp,
    url: `/api/conversations/${room}/${stored.id}`,
    seq: 1,
  });
  for (const live of [here, there]) {
    assert.deepEqual(await live.next("message"), { message: stored });
  }
});

test("a REST post is live on both gateways, and so is its deletion", async (t) => {
  const { alice, room, here, there } = await two(t);
  const url = await alice.posts(room, "by REST");
  for (const live of [here, there]) assert.equal((await live.hears("by REST")).url, url);

  await alice.rest("DELETE", url);

  for (const live of [here, there]) assert.deepEqual(await live.next("deleted"), { url });
  const answer = await request("GET", url, { token: alice.token });
  assert.deepEqual([answer.status, answer.body], [404, { status: "not found" }]);
});

test("004's clients and 001's meet in the same room", async (t) => {
  const { alice, bob, room, here, there } = await two(t);
  const chatto = await connect(t, GATEWAY_2, bob);
  await chatto.joins(room);

  const message = await chatto.says(room, "from 004");
  for (const live of [here, there]) {
    const { id, url, ...rest } = await live.hears("from 004");
    const { _id, room: _, ...same } = message;
    assert.deepEqual([id, url, rest], [_id, `/api/conversations/${room}/${_id}`, same]);
  }

  here.sends({ text: "from 001" });
  const heard = await chatto.hears("from 001");
  assert.deepEqual([heard.user, heard.seq, heard.room], [alice.name, 2, room]);
  const { url } = await here.next("posted");
  await alice.rest("DELETE", url);
  assert.deepEqual(await chatto.next("message deleted"), { _id: heard._id, room });
});

test("cookie, token in the query and Authorization all open it", async (t) => {
  const { name, cookie } = await registerWithCookie("carol");
  const alice = await register("alice");
  const token = alice.token;
  const room = await alice.makesRoom();
  const basic = Buffer.from(`${alice.name}:${token}`).toString("base64");
  const credentials = [
    [name, at(room), { cookie }],
    [name, `/ws/conversations/${room}/`, { cookie: `a=b; ${cookie}` }],
    [name, at(room), { cookie, origin: GATEWAY_2 }],
    [name, at(room), { cookie, authorization: `Bearer ${token}` }],
    [alice.name, at(room), { cookie: "session=dead", authorization: `Bearer ${token}` }],
    [alice.name, at(room), { authorization: `Bearer ${token}` }],
    [alice.name, at(room), { authorization: `Basic ${token}` }],
    [alice.name, at(room), { authorization: `Basic ${basic}` }],
    [alice.name, at(room, alice), {}],
    [alice.name, at(room, alice), { cookie, origin: "https://evil.example" }],
  ];
  for (const [user, path, headers] of credentials) {
    const live = await open(t, GATEWAY_2, path, headers);
    live.sends({ text: "me" });
    assert.equal((await live.next("message")).message.user, user, JSON.stringify(headers));
  }
});

test("`since` replays what came after it, then goes on live", async (t) => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  const urls = [];
  for (let n = 1; n <= 5; n += 1) urls.push(await alice.posts(room, `message ${n}`));
  await alice.rest("DELETE", urls[0]);
  await alice.rest("DELETE", urls[3]);

  const all = await open(t, GATEWAY_1, at(room, { ...alice, since: 0 }));
  const some = await open(t, GATEWAY_2, at(room, { ...alice, since: 3 }));
  const none = await open(t, GATEWAY_1, at(room, alice));
  const ahead = await open(t, GATEWAY_2, at(room, { ...alice, since: 1_000 }));
  await alice.posts(room, "live");
  await alice.posts(room, "marker");
  for (const live of [all, some, none, ahead]) await live.hears("marker");

  assert.deepEqual(texts(all.unread("message")), ["message 2", "message 3", "message 5", "live"]);
  assert.deepEqual(texts(some.unread("message")), ["message 5", "live"]);
  for (const live of [none, ahead]) assert.deepEqual(texts(live.unread("message")), ["live"]);
  for (const live of [all, some]) {
    assert.deepEqual(live.unread("deleted"), [{ url: urls[0] }, { url: urls[3] }]);
  }
});

test("an upgrade without a live credential is refused with 401", async (t) => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  const bad = Object.values(badOnes(alice.token)).filter((token) => token.length < 10_000);
  const attempts = [
    [at(room), {}],
    [at(room), { cookie: "session=" }],
    [at(room), { cookie: "session=forged" }],
    [at(room), { cookie: `session=${"x".repeat(4_000)}` }],
    [at(room), { cookie: "=;;;session" }],
    [at(room), { authorization: "Bearer forged" }],
    [at(room), { authorization: "Bearer" }],
    [at(room), { authorization: "Basic !!" }],
    ...bad.map((token) => [at(room, { token }), {}]),
  ];
  for (const [path, headers] of attempts) {
    const { status, body } = await isRefused(t, GATEWAY_1, path, headers);
    assert.deepEqual([status, body.status], [401, "unauthorised"], `${path} ${JSON.stringify(headers)}`);
  }
});

test("a page of a foreign origin can't use the visitor's cookie: 403", async (t) => {
  const { cookie } = await registerWithCookie("carol");
  for (const origin of ["https://evil.example", "null", GATEWAY_1.replace(/\d+$/, "1")]) {
    const headers = { cookie, origin };
    const { status, body } = await isRefused(t, GATEWAY_1, at("lobby"), headers);
    assert.deepEqual([status, body.status, body.code], [403, "unauthorised", "forbidden"]);
  }
});

test("an unknown conversation is refused with 404, a bad `since` with 400", async (t) => {
  const alice = await register("alice");
  for (const id of ["0123456789abcdef", "nowhere", "Lobby", "%00", "%2e%2e%2flobby"]) {
    const { status, body } = await isRefused(t, GATEWAY_1, at(id, alice));
    assert.deepEqual([status, body.status], [404, "not found"], id);
  }
  for (const since of ["-1", "1.5", "x", ""]) {
    const { status, body } = await isRefused(t, GATEWAY_1, at("lobby", { ...alice, since }));
    assert.deepEqual([status, body.status, body.code], [400, "bad request", "invalid_payload"]);
  }
});

test("a bad frame is told, and the connection lives on", async (t) => {
  const { alice, room, here, there } = await two(t);
  const bad = [
    ["not JSON", "invalid_payload"],
    ["", "invalid_payload"],
    ['{"text": "cut o', "invalid_payload"],
    ['{"text": "\\ud83d"}', "invalid_payload"],
    ["[".repeat(60_000), "invalid_payload"],
    ["null", "invalid_payload"],
    [[{ text: "hi" }], "invalid_payload"],
    [{}, "invalid_payload"],
    [{ text: 7 }, "invalid_payload"],
    [{ text: null }, "invalid_payload"],
    [{ text: "hi", clientId: 7 }, "invalid_payload"],
    [{ text: "hi", clientId: "" }, "invalid_client_id"],
    [{ text: " \n" }, "empty"],
    [{ text: "👋".repeat(4_001) }, "text_too_long"],
    [{ text: "x".repeat(1_000_000) }, "payload_too_large"],
    [Buffer.from('{"text": "as bytes"}'), "invalid_payload"],
  ];
  for (const [frame, code] of bad) {
    here.sends(frame);
    const refusal = await here.next("error");
    assert.deepEqual(Object.keys(refusal).sort(), ["code", "error", "status"]);
    assert.deepEqual([refusal.status, refusal.code], ["bad request", code]);
    assert.ok(refusal.error.length > 0);
  }
  here.sends({ text: "still here" });
  await there.hears("still here");
  assert.deepEqual((await alice.reads(room)).map(({ text }) => text), ["still here"]);
});

test("frames are answered in the order in which they were sent", async (t) => {
  const { alice, room, here, there } = await two(t);
  const expected = Array.from({ length: 100 }, (_, n) => `message ${n}`);
  for (const text of expected) here.sends({ text });
  const urls = (await here.many("posted", 100)).map(({ url }) => url);
  const rows = await alice.reads(room);
  assert.deepEqual(rows.map(({ text }) => text), expected);
  assert.deepEqual(rows.map(({ url }) => url), urls);
  assert.deepEqual(texts(await there.many("message", 100)), expected);
});

test("a `clientId` sent twice through two gateways is one message", async (t) => {
  const { alice, room, here } = await two(t);
  const elsewhere = await open(t, GATEWAY_2, at(room, alice));
  const frame = { text: "once", clientId: "the key" };
  for (const live of [here, elsewhere]) live.sends(frame);
  const [one, same] = [await here.next("posted"), await elsewhere.next("posted")];
  assert.deepEqual(one, same);
  const again = await alice.rest("POST", `/api/conversations/${room}`, frame);
  assert.deepEqual(again, { status: "success", url: one.url });
  await alice.posts(room, "marker");
  for (const live of [here, elsewhere]) {
    await live.hears("marker");
    assert.deepEqual(texts(live.unread("message")), ["once"]);
  }
});

test("logging out closes the WebSockets of that session, on every gateway", async (t) => {
  const { alice, room, here, there } = await two(t);
  const elsewhere = await open(t, GATEWAY_2, at(room, alice));
  await alice.rest("POST", "/logout");
  for (const live of [here, elsewhere]) {
    assert.deepEqual(await live.next("close"), { code: 1008, reason: "session_ended" });
  }
  there.sends({ text: "still here" });
  await there.hears("still here");
  assert.equal((await isRefused(t, GATEWAY_1, at(room, alice))).status, 401);
});
