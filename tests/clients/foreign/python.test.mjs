// python-socketio talks with the newest official client on the other gateway.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { connect } from "../lib/chatto.mjs";
import { Mailbox } from "../lib/mailbox.mjs";
import { register, unique } from "../lib/people.mjs";
import { GATEWAY_1, GATEWAY_2, within } from "../lib/stack.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

// deploy/local/setup.sh makes it.
const PYTHON = here("../../../.local/clients-python/bin/python");
const skip = !existsSync(PYTHON) && "python-socketio is not installed: python3 with venv is needed";

/** Runs the script; what it tells is kept under `what`. */
const python = (t, ...words) => {
  const child = spawn(PYTHON, [here("talk.py"), ...words], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill());
  const told = new Mailbox();
  let [line, complaint] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => {
    const lines = (line + text).split("\n");
    line = lines.pop();
    for (const { what, body } of lines.map((each) => JSON.parse(each))) told.put(what, body);
  });
  child.stderr.setEncoding("utf8").on("data", (text) => (complaint += text));
  const ended = new Promise((resolve) => child.on("close", resolve));
  told.ends = async () => assert.equal(await within(ended, "Python's end"), 0, complaint);
  return told;
};

for (const transport of ["websocket", "polling"]) {
  test(`python-socketio on ${transport}: a user talks in a room`, { skip }, async (t) => {
    const [snake, bob] = [await register("snake"), await register("bob")];
    const room = await bob.makesRoom();
    const there = await connect(t, GATEWAY_2, bob);
    await there.joins(room);
    const text = "Hello from Python 🐍 €";

    const told = python(t, GATEWAY_1, transport, room, text, snake.token, snake.name);

    const heard = await there.hears(text);
    assert.equal(heard.user, snake.name);
    const answer = await there.says(room, `${text}: hello back 👋`);
    assert.deepEqual(await told.next("heard"), answer);
    await told.ends();
    assert.equal(await told.next("transport"), transport);
    assert.deepEqual(await told.next("history"), []);
    assert.deepEqual(await told.next("joined"), { success: true });
    assert.deepEqual(await told.next("said"), { success: true, message: heard });
  });

  test(`python-socketio on ${transport}: a guest relays in the lobby`, { skip }, async (t) => {
    const there = await connect(t, GATEWAY_2);
    const content = `Python 🐍 ${unique("relay")}`;

    const told = python(t, GATEWAY_1, transport, "lobby", content);

    const heard = await there.next("broadcast:message", (message) => message.content === content);
    assert.deepEqual(heard, { author: "python-guest", content, timestamp: 1_700_000_000_000 });
    const answer = { author: unique("guest"), content: `${content}!`, timestamp: 2 };
    there.tells("send:message", answer);
    assert.deepEqual(await told.next("heard"), answer);
    await told.ends();
  });
}
