// One socket speaks 000, 002 and 004 at once: events take effect, and are answered, in the order
// in which they were sent.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "./lib/chatto.mjs";
import { register, unique } from "./lib/people.mjs";
import { GATEWAY_1, GATEWAY_2, within } from "./lib/stack.mjs";

/** How many events. */
const EVENTS = 1_000;

/** All of them, on a busy machine, in milliseconds. */
const PATIENCE = 60_000;

/** What the socket sends, by turns; most is right, some is wrong. */
const turns = (room, alice, bob) => [
  (n) => ["chat message", { roomId: room, user: alice.name, text: `room ${n}` }],
  (n) => ["chatMessage", `direct ${n}`],
  (n) => ["send:message", { author: alice.name, content: `${alice.name} relay ${n}` }],
  () => ["typing", { roomId: room, user: alice.name }],
  () => ["typing", null],
  () => ["doneTyping", null],
  () => ["chatHistory", { user: bob.name }],
  (n) => ["no such event", { n }],
  (n) => ["chat message", n],
  () => ["join room", { roomId: room }],
];

test("1,000 events of mixed protocols on one socket are answered in order", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const room = await alice.makesRoom(unique("mixed"));
  const here = await connect(t, GATEWAY_1, alice);
  const there = await connect(t, GATEWAY_2, bob);
  await here.joins(room);
  await there.joins(room);
  for (const [socket, peer] of [[here, bob], [there, alice]]) {
    socket.tells("chatHistory", { user: peer.name });
    await socket.next("chatHistory");
  }

  const kinds = turns(room, alice, bob);
  const answers = [];
  const answered = new Promise((resolve) => {
    for (let n = 0; n < EVENTS; n += 1) {
      const [event, payload] = kinds[n % kinds.length](n);
      here.socket.emit(event, payload, (answer) => {
        if (answers.push([n, event, answer]) === EVENTS) resolve();
      });
    }
  });
  await within(answered, () => `${EVENTS} answers; there are ${answers.length}`, PATIENCE);

  assert.deepEqual(answers.map(([n]) => n), Array.from({ length: EVENTS }, (_, n) => n));
  const refused = answers.filter(([, , answer]) => answer?.success === false);
  const isWrong = (n) => [7, 8].includes(n % kinds.length);
  const codes = { 7: "unknown_event", 8: "invalid_payload" };
  for (const [n, event, { code, error }] of refused) {
    assert.ok(isWrong(n), `${event} ${n}: ${error}`);
    assert.equal(code, codes[n % kinds.length]);
  }
  assert.equal(refused.length, (2 * EVENTS) / kinds.length);

  const each = EVENTS / kinds.length;
  const numbers = (at) => Array.from({ length: each }, (_, n) => n * kinds.length + at);
  const said = await there.many("chat message", each, PATIENCE);
  assert.deepEqual(said.map(({ text }) => text), numbers(0).map((n) => `room ${n}`));
  const direct = await there.many("chatMessage", each, PATIENCE);
  assert.deepEqual(direct.map(({ msg }) => msg), numbers(1).map((n) => `direct ${n}`));
  for (const n of numbers(2)) {
    const content = `${alice.name} relay ${n}`;
    const relayed = await there.next("broadcast:message", (m) => m.content.startsWith(alice.name));
    assert.equal(relayed.content, content);
  }
});
