// Socket.IO clients of every generation talk with the newest one on the other gateway.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../lib/chatto.mjs";
import { CLIENTS, TRANSPORTS, arrive, isTurnedAway, transportOf } from "../lib/foreign.mjs";
import { register, unique } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2, PATIENCE, within } from "../lib/stack.mjs";

const HELLO = "Hello 👋🏽 € ü — مرحبا";

// In text framing, 1.7 writes and expects UTF-8 twice, as its own servers did; 2.x does not, and
// servers can't tell them apart. Browsers are answered in binary framing.
const framesUtf8Twice = (kind, travel) => kind.includes("1.7.4") && travel.startsWith("polling");

const greeting = (kind, travel) => (framesUtf8Twice(kind, travel) ? "Hello" : HELLO);

const reply = (kind, travel) => (kind.endsWith("in a browser") ? HELLO : greeting(kind, travel));

/** Waits until a client has gone over to websocket. */
const upgraded = async (client) => {
  const { engine } = client.socket.io;
  if (transportOf(client) !== "websocket") {
    await within(new Promise((resolve) => engine.once("upgrade", resolve)), "an upgrade", PATIENCE);
  }
  assert.equal(transportOf(client), "websocket");
};

for (const kind of Object.keys(CLIENTS)) {
  for (const travel of ["websocket", "polling"]) {
    test(`${kind} on ${travel}: a bad token is refused in the words of 004`, async (t) => {
      const reason = await isTurnedAway(t, kind, [travel], GATEWAY_1, "rubbish");
      assert.equal(reason, "Invalid token");
    });
  }

  for (const [travel, transports] of Object.entries(TRANSPORTS)) {
    test(`${kind} on ${travel}: a user talks in a room`, async (t) => {
      const [old, young] = [await register("old"), await register("young")];
      const room = await young.makesRoom();
      const there = await connect(t, GATEWAY_2, young);
      await there.joins(room);
      const text = greeting(kind, travel);

      const here = await arrive(t, kind, transports, GATEWAY_1, old.token);
      if (transports.length > 1) {
        await upgraded(here);
      } else {
        assert.equal(transportOf(here), travel);
      }
      const joined = await here.ask("join room", { roomId: room, user: old.name });
      assert.equal(joined.success, true, JSON.stringify(joined));
      assert.deepEqual(await here.next("message history"), []);
      assert.equal((await there.next("user joined room")).user, old.name);

      const ack = await here.ask("chat message", { roomId: room, user: old.name, text });
      assert.equal(ack.success, true, JSON.stringify(ack));
      assert.equal(ack.message.text, text);
      const heard = await there.hears(text);
      assert.deepEqual([heard._id, heard.user], [ack.message._id, old.name]);

      const answer = await there.says(room, `${reply(kind, travel)} back`);
      await here.next("chat message", (message) => message._id === heard._id);
      assert.deepEqual(await here.next("chat message"), answer);
      assert.deepEqual(here.unread("chat message"), []);

      const refusal = await here.ask("chat message", { roomId: room, text: "" });
      assert.deepEqual([refusal.success, refusal.code], [false, "empty"]);
    });

    test(`${kind} on ${travel}: a guest relays in the lobby`, async (t) => {
      const content = `${greeting(kind, travel)} ${unique("relay")}`;
      const there = await connect(t, GATEWAY_2);
      const here = await arrive(t, kind, transports, GATEWAY_1);
      const isMine = (message) => message.content.startsWith(content);

      const sent = { author: unique("guest"), content, timestamp: 1_700_000_000_000 };
      here.tells("send:message", sent);
      assert.deepEqual(await there.next("broadcast:message", isMine), sent);

      const author = unique("guest");
      const more = [null, reply(kind, travel)];
      const answer = { author, content: `${content}!`, timestamp: 1, more };
      there.tells("send:message", answer);
      assert.deepEqual(await here.next("broadcast:message", isMine), answer);
      assert.deepEqual(here.unread("broadcast:message").filter(isMine), []);
    });
  }
}
