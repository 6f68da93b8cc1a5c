// 004: texts come back exactly as they were sent; the limits are told clearly.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, twoInRoom } from "../lib/chatto.mjs";
import { GATEWAY_2 } from "../lib/stack.mjs";

const TEXTS = {
  emoji: "Hi 👋🏽 👨‍👩‍👧‍👦 🏳️‍🌈",
  "right to left": "مرحبا بالعالم \u202Eabc\u202C שלום",
  NUL: "a\0b",
  "control characters": "\x01\x07\x1b[31mred\x7f\u0085 end",
  "line ends": "one\ntwo\r\nthree\u2028four",
  HTML: "<script>alert('x')</script> <img src=x onerror=alert(1)> &amp; &lt;",
  SQL: "'; DROP TABLE messages; -- \" ` \\ \\' %s ? :name",
  JSON: '{"type":"message"} \\u0041 \\n 42["chat message",{}]',
  Markdown: "**bold** [link](javascript:alert(1))",
  "space at the start": " \t text",
  "combining marks": "e\u0301 is not \u00e9",
  "beyond the first plane": "𝒳 𐍈 \u{10FFFF}",
  "not quite characters": "\uFEFF \uFFFD \uFFFE \uFFFF",
  prototype: "__proto__ constructor",
};

test("a text is told, kept and told again exactly as it was sent", async (t) => {
  const { bob, room, here, there } = await twoInRoom(t);
  for (const [kind, text] of Object.entries(TEXTS)) {
    assert.equal((await here.says(room, text)).text, text, kind);
    assert.equal((await there.next("chat message")).text, text, kind);
  }
  const all = Object.values(TEXTS);
  assert.deepEqual((await bob.reads(room)).map(({ text }) => text), all);
  const late = await connect(t, GATEWAY_2, bob);
  assert.deepEqual((await late.joins(room)).map(({ text }) => text), all);
});

test("white space at the end is cut off, at the start it stays", async (t) => {
  const { room, here, there } = await twoInRoom(t);
  assert.equal((await here.says(room, "  hi \t\r\n ")).text, "  hi");
  assert.equal((await there.next("chat message")).text, "  hi");
});

test("a text without characters is empty", async (t) => {
  const { room, here } = await twoInRoom(t);
  for (const text of ["", " ", "\n\t\r ", "\u3000"]) {
    await here.isRefused("empty", "chat message", { roomId: room, text });
  }
});

test("4,000 characters fit, however many bytes each has; one more does not", async (t) => {
  const { room, here, there } = await twoInRoom(t);
  for (const character of ["x", "é", "語", "👋"]) {
    const text = character.repeat(4_000);
    assert.equal((await here.says(room, `${text}  \n`)).text, text);
    assert.equal((await there.next("chat message")).text, text);
    const payload = { roomId: room, text: `${text}${character}` };
    await here.isRefused("text_too_long", "chat message", payload);
  }
});

test("a text of 1 MB is too large to be read, and the connection lives on", async (t) => {
  const { bob, room, here, there } = await twoInRoom(t);
  // As long in JSON, where NUL takes six bytes.
  for (const text of ["x".repeat(1_000_000), "👋".repeat(250_000), "\0".repeat(166_000)]) {
    await here.isRefused("payload_too_large", "chat message", { roomId: room, text });
  }
  here.tells("chat message", { roomId: room, text: "x".repeat(1_000_000) });
  assert.equal((await here.next("error")).code, "payload_too_large");
  await here.says(room, "still here");
  await there.hears("still here");
  assert.equal((await bob.reads(room)).length, 1);
});
