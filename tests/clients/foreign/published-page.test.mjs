// 002's published page: socket.io-client 1.2.0 in a browser, in the order in which the page asks.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ISO } from "../lib/chatto.mjs";
import { TRANSPORTS, arrive } from "../lib/foreign.mjs";
import { register } from "../lib/people.mjs";
import { messengerSocket } from "../lib/speakers.mjs";
import { GATEWAY_1, GATEWAY_2 } from "../lib/stack.mjs";

const PAGE = "socket.io-client 1.2.0 in a browser";

for (const [travel, transports] of Object.entries(TRANSPORTS)) {
  test(`${PAGE} on ${travel}: the page of 002 talks with a client of 003`, async (t) => {
    const [alice, bob] = [await register("alice"), await register("bob")];
    const there = await messengerSocket(t, GATEWAY_2, bob);
    const before = "Bonjour, ça va ? 👋🏽";
    await there.ask("send-message", { user: alice.name, message: before });

    const page = await arrive(t, PAGE, transports, GATEWAY_1, alice.token);

    const { username, userList } = await page.next("storeUsername");
    assert.equal(username, alice.name);
    const peer = userList.find((user) => user.username === bob.name);
    await page.next("updateUsers", (names) => names.includes(bob.name));

    page.tells("chatHistory", { id: peer.id });
    const [row, ...more] = await page.next("chatHistory");
    assert.deepEqual(more, []);
    assert.deepEqual([row.msg, row.username, row.User], [before, bob.name, peer]);

    const text = "Ça va, merci — مرحبا 🐍";
    page.tells("chatMessage", text);
    const { chat } = await there.next("chat");
    assert.deepEqual([chat.message, chat.sender], [text, alice.name]);
    const own = await page.next("chatMessage");
    assert.match(own.createdAt, ISO);
    const { id, created_at: createdAt } = chat;
    assert.deepEqual(own, { id, username: alice.name, msg: text, createdAt });

    await there.ask("send-message", { user: alice.name, message: "À bientôt €" });
    assert.equal((await page.next("chatMessage")).msg, "À bientôt €");
  });
}
