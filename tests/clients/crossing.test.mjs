// Sockets that began with polling go over to a websocket, and what they are sent then is long.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "./lib/chatto.mjs";
import { register } from "./lib/people.mjs";
import { GATEWAY_1, within } from "./lib/stack.mjs";

/** Of 12 kB each: a history of half a megabyte. */
const MESSAGES = 50;

/** Enough to keep the gateway busy while they go over. */
const SOCKETS = 60;

test("a long history is the first thing that comes by the websocket", async (t) => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  for (let n = 0; n < MESSAGES; n += 1) await alice.posts(room, `${n} ${"€".repeat(3_900)}`);

  const goesOver = async () => {
    const client = await connect(t, GATEWAY_1, alice, { transports: ["polling", "websocket"] });
    const { engine } = client.socket.io;
    if (engine.transport.name !== "websocket") {
      await within(new Promise((resolve) => engine.once("upgrade", resolve)), "an upgrade");
    }
    return client;
  };
  const clients = await Promise.all(Array.from({ length: SOCKETS }, goesOver));
  const histories = await Promise.all(clients.map((client) => client.joins(room)));
  assert.deepEqual(histories.map((history) => history.length), Array(SOCKETS).fill(MESSAGES));
});
