// A client leaves a namespace and comes back to it on the same connection.

import assert from "node:assert/strict";
import { test } from "node:test";

import WebSocket from "ws";

import { register } from "./lib/people.mjs";
import { GATEWAY_1, within } from "./lib/stack.mjs";

/** Said at once before it leaves: they are still being handled when it is back. */
const SAID = 300;

const NAMESPACE = "/chatto";

/** A websocket on which the packets are written by hand. */
const open = async (t) => {
  const url = `${GATEWAY_1.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
  const socket = new WebSocket(url);
  t.after(() => socket.terminate());
  const packets = [];
  const waiting = new Set();
  socket.on("message", (data) => {
    const packet = data.toString();
    if (packet === "2") return socket.send("3");
    packets.push(packet);
    for (const look of waiting) look();
  });
  await within(new Promise((resolve) => socket.once("open", resolve)), "a websocket");
  const until = (matches, what) =>
    within(
      new Promise((resolve) => {
        const look = () => {
          const at = packets.findIndex(matches);
          if (at < 0) return;
          waiting.delete(look);
          resolve(at);
        };
        waiting.add(look);
        look();
      }),
      what,
      30_000,
    );
  return { socket, packets, until };
};

test("who leaves a namespace and comes back hears nothing twice", async (t) => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  const { socket, packets, until } = await open(t);
  const enter = `40${NAMESPACE},${JSON.stringify({ token: alice.token })}`;
  const tell = (id, event, payload) => {
    socket.send(`42${NAMESPACE},${id}${JSON.stringify([event, payload])}`);
  };
  const isAck = (id) => (packet) => packet.startsWith(`43${NAMESPACE},${id}[`);

  socket.send(enter);
  await until((packet) => packet.startsWith(`40${NAMESPACE},`), "a welcome");
  tell(1, "join room", { roomId: room });
  await until(isAck(1), "the room");
  for (let n = 0; n < SAID; n += 1) tell(100 + n, "chat message", { roomId: room, text: `${n}` });
  socket.send(`41${NAMESPACE},`);
  // Too early a one is ignored.
  const again = setInterval(() => socket.send(enter), 2);
  t.after(() => clearInterval(again));
  const isWelcome = (packet) => packet.startsWith(`40${NAMESPACE},`);
  await until((packet, at) => isWelcome(packet) && packets.findIndex(isWelcome) < at, "a second welcome");
  clearInterval(again);
  tell(2, "join room", { roomId: room });
  await until(isAck(2), "the room again");
  tell(3, "chat message", { roomId: room, text: "the end" });
  await until((packet) => packet.includes("the end") && packet.startsWith("42"), "the end");
  await until(isAck(3), "its acknowledgement");

  const back = packets.slice(packets.findLastIndex(isWelcome));
  const seqs = back
    .filter((packet) => packet.startsWith(`42${NAMESPACE},["chat message"`))
    .map((packet) => JSON.parse(packet.slice(packet.indexOf("[")))[1].seq);
  assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b));
  const stale = back.filter((packet) => /^43\/chatto,[1-9]\d\d\[/.test(packet));
  assert.deepEqual(stale, [], "what the socket that has left asked is not answered to the new one");
});
