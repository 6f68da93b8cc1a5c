// Engine.IO 3 polling, byte by byte: what the published parser of socket.io-client 1.2.0 writes
// and reads.

import assert from "node:assert/strict";
import { test } from "node:test";

import { register } from "../lib/people.mjs";
import { GATEWAY_1, PATIENCE } from "../lib/stack.mjs";

const address = (more) =>
  `${GATEWAY_1}/socket.io/?${new URLSearchParams({ EIO: 3, transport: "polling", ...more })}`;

const call = async (query, body) => {
  const response = await fetch(address(query), {
    method: body ? "POST" : "GET",
    headers: body ? { "content-type": "application/octet-stream" } : {},
    body,
    signal: AbortSignal.timeout(PATIENCE),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  assert.equal(response.status, 200, String(bytes));
  return { kind: response.headers.get("content-type"), bytes };
};

/** Binary framing of texts. */
const framed = (...texts) =>
  Buffer.concat(
    texts.map((text) => {
      const data = Buffer.from(text);
      return Buffer.concat([Buffer.from([0, ...[...String(data.length)].map(Number), 255]), data]);
    }),
  );

/** The texts of binary framing; fails on anything else. */
const read = ({ kind, bytes }) => {
  assert.equal(kind, "application/octet-stream");
  const texts = [];
  for (let at = 0; at < bytes.length; ) {
    assert.equal(bytes[at], 0, "a packet of text");
    const mark = bytes.indexOf(255, at);
    const end = mark + 1 + Number([...bytes.subarray(at + 1, mark)].join(""));
    assert.ok(end <= bytes.length, "no packet goes past the end");
    texts.push(bytes.toString("utf8", mark + 1, end));
    at = end;
  }
  return texts;
};

/** Polls until a packet begins like this. */
const until = async (query, start) => {
  for (;;) {
    const found = read(await call(query)).find((text) => text.startsWith(start));
    if (found !== undefined) return found;
  }
};

test("a poll is answered in binary framing, with characters of every length", async () => {
  const alice = await register("alice");
  const room = await alice.makesRoom();
  const [open] = read(await call({ token: alice.token }));
  const { sid } = JSON.parse(open.slice(1));
  await until({ sid }, "40");
  const event = (id, ...words) => `42${id}${JSON.stringify(words)}`;
  const text = "a ü € 👋 \u{10FFFF}";

  await call({ sid }, framed(event(0, "join room", { roomId: room })));
  assert.equal(await until({ sid }, "430"), '430[{"success":true}]');
  await call({ sid }, framed("2", event(1, "chat message", { roomId: room, text })));
  const ack = JSON.parse((await until({ sid }, "431")).slice(3));
  assert.equal(ack[0].message.text, text);
  assert.deepEqual((await alice.reads(room)).map((message) => message.text), [text]);
  await call({ sid }, framed("1"));
});

test("a client that asks for base64 gets text framing", async () => {
  const { kind, bytes } = await call({ b64: 1 });
  assert.match(kind, /^text\/plain/);
  assert.match(String(bytes), /^\d+:0\{/);
});
