// The front door: REST and sockets on one origin, with any transport.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "./lib/chatto.mjs";
import { register, registerWithCookie, request } from "./lib/people.mjs";
import { open } from "./lib/plain.mjs";
import { FRONT, GATEWAY_1, GATEWAY_2, PATIENCE, within } from "./lib/stack.mjs";

const transport = (client) => client.socket.io.engine.transport.name;

const upgraded = async (client) => {
  const { engine } = client.socket.io;
  if (transport(client) !== "websocket") {
    await within(new Promise((resolve) => engine.once("upgrade", resolve)), "the upgrade");
  }
};

/** Two users talk; `options` say how their clients connect. */
const talk = async (t, options, ready = async () => {}) => {
  const [alice, bob] = [await register("alice", FRONT), await register("bob", FRONT)];
  const clients = [await connect(t, FRONT, alice, options), await connect(t, FRONT, bob, options)];
  const name = `${alice.name} and ${bob.name}`;
  const roomId = (await clients[0].does("create room", { name })).room._id;
  for (const client of clients) await client.joins(roomId);
  const say = async (text) => {
    for (const [at, client] of clients.entries()) {
      const message = await client.says(roomId, `${text} ${at}`);
      for (const other of clients) assert.deepEqual(await other.next("chat message"), message);
    }
  };
  await say("at once");
  for (const client of clients) await ready(client);
  await say("then");
  return clients;
};

test("websockets only", async (t) => {
  const clients = await talk(t, { transports: ["websocket"] });
  assert.deepEqual(clients.map(transport), ["websocket", "websocket"]);
});

test("polling first, then the upgrade, as clients do by themselves", async (t) => {
  const options = { transports: ["polling", "websocket"], withCredentials: true };
  const clients = await talk(t, options, upgraded);
  assert.deepEqual(clients.map(transport), ["websocket", "websocket"]);
});

test("the upgrade works for clients that keep no cookies, too", async (t) => {
  const clients = await talk(t, { transports: ["polling", "websocket"] }, upgraded);
  assert.deepEqual(clients.map(transport), ["websocket", "websocket"]);
});

test("polling only", async (t) => {
  const clients = await talk(t, { transports: ["polling"], withCredentials: true });
  assert.deepEqual(clients.map(transport), ["polling", "polling"]);
});

test("the cookie decides which gateway a polling client stays at", async () => {
  const path = "/socket.io/?EIO=4&transport=polling";
  const ask = (origin, query, options) =>
    fetch(`${origin}${path}${query}`, { signal: AbortSignal.timeout(PATIENCE), ...options });
  const first = await ask(FRONT, "", {});
  assert.match(first.headers.get("set-cookie"), /^SB_GATEWAY=gateway-\d+;.*HttpOnly/);
  for (const [cookie, home, other] of [
    ["SB_GATEWAY=gateway-1", GATEWAY_1, GATEWAY_2],
    ["SB_GATEWAY=gateway-2", GATEWAY_2, GATEWAY_1],
  ]) {
    const opened = await (await ask(FRONT, "", { headers: { cookie } })).text();
    const { sid } = JSON.parse(opened.slice(1));
    // Only the gateway that began the session knows it.
    const enter = { method: "POST", body: "40" };
    assert.equal((await ask(other, `&sid=${sid}`, enter)).status, 400);
    assert.equal((await ask(home, `&sid=${sid}`, enter)).status, 200);
    assert.equal((await ask(FRONT, `&sid=${sid}`, { headers: { cookie } })).status, 200);
  }
});

test("REST, 001's live frames and 004's events are on one origin", async (t) => {
  const { name, cookie } = await registerWithCookie("carol", FRONT);
  const alice = await register("alice", FRONT);
  const post = (path, body) => request("POST", path, { cookie, body, origin: FRONT });
  const { id } = (await post("/api/conversations/", { title: `${name}'s` })).body;
  const live = await open(t, FRONT, `/ws/conversations/${id}`, { cookie, origin: FRONT });
  const chatto = await connect(t, FRONT, alice);
  await chatto.joins(id);

  assert.equal((await post(`/api/conversations/${id}`, { text: "by REST" })).status, 200);
  await live.hears("by REST");
  await chatto.hears("by REST");
  await chatto.says(id, "by 004");
  await live.hears("by 004");
  live.sends({ text: "by 001" });
  assert.equal((await chatto.hears("by 001")).user, name);

  const rows = await request("GET", `/api/conversations/${id}?N=2`, { cookie, origin: FRONT });
  assert.deepEqual(rows.body.messages.map(({ text }) => text), ["by 004", "by 001"]);
});

test("a socket opened by the session cookie alone is its user's", async (t) => {
  const { name, cookie } = await registerWithCookie("carol", FRONT);
  for (const transports of [["websocket"], ["polling"]]) {
    const options = { transports, extraHeaders: { cookie } };
    const client = await connect(t, FRONT, undefined, options);
    await client.joins("lobby");
    assert.equal((await client.says("lobby", `${name}'s`)).user, name);
  }
});

test("old pages find the official client at /socket.io/socket.io.js", async () => {
  const url = `${FRONT}/socket.io/socket.io.js`;
  const ask = (headers) => fetch(url, { headers, signal: AbortSignal.timeout(PATIENCE) });
  const answer = await ask({ "accept-encoding": "gzip" });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-type"), /^text\/javascript/);
  assert.equal(answer.headers.get("content-encoding"), "gzip");
  const again = await ask({ "if-none-match": answer.headers.get("etag") });
  assert.equal(again.status, 304);

  const module = { exports: {} };
  new Function("module", "exports", await answer.text())(module, module.exports);
  assert.deepEqual([typeof module.exports.io, typeof module.exports.Manager], ["function", "function"]);
  // The sockets' own paths beside it still lead to the gateways.
  const elsewhere = await fetch(`${FRONT}/socket.io/`, { signal: AbortSignal.timeout(PATIENCE) });
  assert.equal(elsewhere.status, 400);
});
