// 003 without Socket.IO: JSON frames on a plain WebSocket.

import assert from "node:assert/strict";
import { test } from "node:test";

import { WebSocket } from "ws";

import { Mailbox } from "../lib/mailbox.mjs";
import { register } from "../lib/people.mjs";
import { messengerSocket } from "../lib/speakers.mjs";
import { GATEWAY_1, GATEWAY_2, within } from "../lib/stack.mjs";

/** Opens `/ws`; answers under their `id`, pushes under their `event`. */
const open = async (t, gateway, token) => {
  const socket = new WebSocket(`${gateway.replace(/^http/, "ws")}/ws?token=${token}`);
  t.after(() => socket.terminate());
  const frames = new Mailbox();
  socket.on("message", (data) => {
    const { event, id, ...rest } = JSON.parse(data);
    frames.put(id ?? event, { event, ...rest });
  });
  await within(new Promise((resolve) => socket.on("open", resolve)), "a WebSocket at /ws");
  frames.sends = (frame) => socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  frames.asks = (id, event, data) => {
    frames.sends({ event, data, id });
    return frames.next(id);
  };
  return frames;
};

test("a plain WebSocket talks with a Socket.IO client of 003 on the other gateway", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const here = await open(t, GATEWAY_1, alice.token);
  const there = await messengerSocket(t, GATEWAY_2, bob);

  const sent = await here.asks("a", "send-message", { user: bob.name, message: "Hello 👋" });
  assert.equal(sent.event, "send-message");
  const heard = await there.next("chat");
  assert.deepEqual(heard.chat, sent.data.chat);
  const unread = await there.next("unread-chats-count");
  assert.deepEqual(unread, { user: alice.name, unreadChatsCount: 1 });

  assert.deepEqual(await there.ask("read-chat", { id: heard.chat.id }), {});
  const read = await here.next("read-chat");
  assert.deepEqual(read, { event: "read-chat", data: { id: heard.chat.id, user: bob.name } });

  const { chat } = await there.ask("send-message", { user: alice.name, message: "Hello back" });
  assert.deepEqual(await here.next("chat"), { event: "chat", data: { chat } });
  const { data } = await here.asks(2, "fetch-conversation-with-user", { user: bob.name });
  assert.deepEqual(data.chats.map(({ message }) => message), ["Hello back", "Hello 👋"]);
});

test("a plain WebSocket is answered also when it is wrong, and lives on", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const here = await open(t, GATEWAY_1, alice.token);
  const wrong = [
    ["send-message", { user: alice.name, message: "me" }, "invalid_recipient"],
    ["send-message", { user: "nobody-there", message: "hi" }, "unknown_user"],
    ["send-message", { message: "hi" }, "invalid_payload"],
    ["no such event", {}, "unknown_event"],
  ];
  for (const [id, [event, data, code]] of wrong.entries()) {
    const answer = await here.asks(id, event, data);
    assert.deepEqual([answer.event, answer.error.code], [event, code]);
  }
  for (const rubbish of ["", "{", "[]", "7", '{"data": {}}']) here.sends(rubbish);
  const { data } = await here.asks("last", "fetch-unread-chats-count", { user: bob.name });
  assert.deepEqual(data, { unreadChatsCount: 0 });
});
