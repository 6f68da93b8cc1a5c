// 004: `since`, and what lies between history and the first live message.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../lib/chatto.mjs";
import { register } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";

const texts = (messages) => messages.map(({ text }) => text);

const roomWith = async (count) => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  const urls = [];
  for (let n = 1; n <= count; n += 1) urls.push(await alice.posts(room, `message ${n}`));
  return { alice, room, urls };
};

test("with `since` the history is what came after it", async (t) => {
  const { alice, room } = await roomWith(5);
  const client = await connect(t, GATEWAY_1, alice);
  const after = async (since) => texts(await client.joins(room, { since }));
  assert.deepEqual(await after(0), [1, 2, 3, 4, 5].map((n) => `message ${n}`));
  assert.deepEqual(await after(3), ["message 4", "message 5"]);
  assert.deepEqual(await after(5), []);
  assert.deepEqual(await after(1_000_000), []);
  // Live goes on from there, each message once, however often the room was joined.
  await client.says(room, "live");
  await client.says(room, "marker");
  await client.hears("marker");
  assert.deepEqual(texts(client.unread("chat message")), ["live"]);
});

test("`since` tells more than 50 messages", async (t) => {
  const { alice, room } = await roomWith(120);
  const client = await connect(t, GATEWAY_2, alice);
  const history = await client.joins(room, { since: 10 });
  assert.deepEqual(history.map(({ seq }) => seq), Array.from({ length: 110 }, (_, n) => n + 11));
});

test("`since` tells what was deleted meanwhile, and not its text", async (t) => {
  const { alice, room, urls } = await roomWith(4);
  await alice.rest("DELETE", urls[0]);
  await alice.rest("DELETE", urls[3]);
  const client = await connect(t, GATEWAY_1, alice);
  assert.deepEqual(texts(await client.joins(room, { since: 2 })), ["message 3"]);
  const deleted = await client.many("message deleted", 2);
  const ids = [urls[0], urls[3]].map((url) => url.split("/").at(-1));
  assert.deepEqual(deleted, ids.map((_id) => ({ _id, room })));
});

test("a `since` that is no whole number is refused", async (t) => {
  const { alice, room } = await roomWith(1);
  const client = await connect(t, GATEWAY_1, alice);
  for (const since of [-1, 1.5, "1", true, [], {}, 1e300]) {
    await client.isRefused("invalid_payload", "join room", { roomId: room, since });
  }
  assert.equal((await client.joins(room, { since: null })).length, 1);
});

test("between history and live there is no gap and no repeat, while others write", async (t) => {
  const { alice, room } = await roomWith(0);
  const writer = await connect(t, GATEWAY_1, alice);
  await writer.joins(room);
  const count = 200;
  const sent = Array.from({ length: count }, (_, n) => writer.says(room, `message ${n + 1}`));

  const heard = [];
  for (let n = 0; n < 8; n += 1) {
    const reader = await connect(t, n % 2 ? GATEWAY_1 : GATEWAY_2, alice);
    const fields = n < 4 ? { since: 0 } : {};
    heard.push({ reader, history: await reader.joins(room, fields) });
  }
  await Promise.all(sent);
  await writer.says(room, "the end");

  for (const { reader, history } of heard) {
    await reader.hears("the end");
    const seqs = [...history, ...reader.unread("chat message")].map(({ seq }) => seq);
    const first = seqs[0] ?? count + 1;
    assert.deepEqual(seqs, Array.from({ length: count + 1 - first }, (_, n) => first + n));
  }
});
