// The tour of README, run as it stands there.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const clients = import.meta.dirname ?? new URL(".", import.meta.url).pathname;

// People may wait a moment; a test waits for what it waits for.
const untilBothHaveSpoken = `until curl -s -H "$auth" "$FRONT_URL/api/conversations/$ID" |
  grep "Hello from $ALICE" | grep -q "Hello from $BOB"; do sleep 0.1; done`;

test("the tour of README works as it stands there", { timeout: 60_000 }, async (t) => {
  const readme = await readFile(join(clients, "../../README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```sh tour\n(.*?)^```$/gms)].map(([, block]) => block);
  assert.ok(blocks.length >= 4, "README has a tour");
  const directory = await mkdtemp(join(tmpdir(), "switchboard-tour-"));
  t.after(() => rm(directory, { recursive: true, force: true }));

  // The same lines at this stack's addresses, with the packages that are here already.
  const script = blocks.join("\n")
    .replaceAll("http://localhost:3000", process.env.FRONT_URL)
    .replaceAll("http://localhost:3001", process.env.GATEWAY_1_URL)
    .replaceAll("http://localhost:3002", process.env.GATEWAY_2_URL)
    .replaceAll("/tmp/switchboard-tour", directory)
    .replace("sleep 3", untilBothHaveSpoken)
    .replace("npm install --silent socket.io-client", `ln -s ${join(clients, "node_modules")} .`);
  const output = await bash(script);

  // Several programs write at once: lines may begin in the middle of others.
  assert.match(output, /"status":"success"/, output);
  for (const who of ["alice", "bob"]) {
    for (const text of ["Is anybody here\\?", "Hello from alice", "Hello from bob", "Oops", "Goodbye"]) {
      assert.match(output, new RegExp(`${who}-\\d+ hears .*${text}`), output);
    }
    assert.match(output, new RegExp(`${who}-\\d+ hears message deleted: \\{"_id":"\\d+"`), output);
  }
  const last = output.trim().split("\n").at(-1);
  const texts = JSON.parse(last).messages.map(({ text }) => text);
  assert.equal(texts.length, 3, last);
  assert.equal(texts.at(-1), "Goodbye", last);
  assert.ok(!texts.includes("Oops"), "what was deleted is gone");
});

function bash(script) {
  return new Promise((resolve, reject) => {
    const child = spawn("bash", ["-eu", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (data) => { output += data; });
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve(output);
      else reject(new Error(`the tour ended with ${status}:\n${output}`));
    });
  });
}
