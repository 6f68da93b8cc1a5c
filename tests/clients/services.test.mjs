// "From other services" in README, run as it stands there; and reflection and health as clients ask for them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const clients = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const address = new URL(process.env.API_GRPC_URL).host;

test("what README says to other services works as it stands there", { timeout: 60_000 }, async (t) => {
  const readme = await readFile(join(clients, "../../README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```sh services\n(.*?)^```$/gms)].map(([, block]) => block);
  assert.equal(blocks.length, 3, "README has its programs");
  const directory = await mkdtemp(join(tmpdir(), "switchboard-services-"));
  t.after(() => rm(directory, { recursive: true, force: true }));

  // People may wait a moment; a test waits for what it waits for.
  const until = (what) => `until ${what}; do sleep 0.1; done`;
  const waits = [until("[ -s cursor ]"), until("grep -q posted heard")];
  const script = blocks.join("\n")
    .replaceAll("localhost:3101", address)
    .replaceAll("/tmp/switchboard-services", directory)
    .replace(/TOKEN=a-token-\S+/, `TOKEN=${process.env.SERVICE_TOKEN}`)
    .replace(/^npm install .*$/m, `ln -s ${join(clients, "node_modules")} .`)
    .replaceAll("sleep 2", () => waits.shift());
  const first = await bash(script);
  assert.match(first, /^message \d+ is durable$/m, first);
  assert.match(first, /^lobby \d+ posted$/m, first);

  // Both once more, in the same directory: the same message, so nothing new is heard.
  const seq = (output) => output.match(/^lobby (\d+) posted$/m)?.[1];
  const again = await bash(`cd ${directory}; export PROTO=${join(clients, "../../proto")} TOKEN=${process.env.SERVICE_TOKEN}
    node bot.mjs
    sed -i s/bill-17/bill-18/ bot.mjs
    : > heard; node watch.mjs > heard & WATCHER=$!
    node bot.mjs; ${until("grep -q posted heard")}; kill $WATCHER; cat heard`);
  assert.ok(Number(seq(again)) > Number(seq(first)), again);
  assert.equal(again.match(/is durable/g).length, 2, again);
  assert.ok(again.includes(first.match(/^message \d+ is durable$/m)[0]), "the first once more");
});

function bash(script) {
  return new Promise((resolve, reject) => {
    const cwd = join(clients, "../..");
    const child = spawn("bash", ["-eu", "-c", script], { cwd, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (data) => { output += data; });
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve(output);
      else reject(new Error(`it ended with ${status}:\n${output}`));
    });
  });
}
