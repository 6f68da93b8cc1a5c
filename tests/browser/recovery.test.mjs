// Connections that are cut, gateways that are killed, pages that are reloaded: nothing is lost, nothing is doubled.

import assert from "node:assert/strict";
import { test } from "node:test";

import { FRONT } from "../clients/lib/stack.mjs";
import { visitor } from "./lib/chromium.mjs";
import { openDoors } from "./lib/door.mjs";
import { OF_OUTAGES, PASSWORD, fresh, person } from "./lib/people.mjs";
import { killGateway } from "./lib/stack.mjs";

const lines = (name, count) => Array.from({ length: count }, (_, n) => `${name} ${n + 1}`);

test("a gateway is killed while they talk: both pages recover, each message is there once", async (t) => {
  const [alice, bob] = [await person(t, "alice", FRONT, { excused: OF_OUTAGES }), await person(t, "bob", FRONT, { excused: OF_OUTAGES })];
  for (const one of [alice, bob]) await one.arrives();
  const title = fresh("Storm");
  await alice.makesRoom(title);
  await bob.opens(title);
  const [hers, his] = [lines("hers", 30), lines("his", 30)];
  for (const [n, text] of hers.entries()) {
    await alice.writes(text);
    await bob.writes(his[n]);
    if (n === 10) killGateway(1);
    if (n === 20) killGateway(2);
  }
  for (const one of [alice, bob]) {
    await one.isConnected();
    await one.hears("hers 30");
    await one.hears("his 30");
  }
  const [seen, other] = [await alice.texts(), await bob.texts()];
  assert.deepEqual(seen.filter((text) => text.startsWith("hers")), hers);
  assert.deepEqual(seen.filter((text) => text.startsWith("his")), his);
  assert.deepEqual(other, seen);
});

test("cut off: it says so, keeps what is written, catches up with all that happened", async (t) => {
  const doors = await openDoors();
  const [alice, bob] = [await person(t, "alice", doors[0].url, { excused: OF_OUTAGES }), await person(t, "bob", doors[1].url)];
  for (const one of [alice, bob]) await one.arrives();
  const title = fresh("Cut");
  await alice.makesRoom(title);
  await bob.opens(title);
  await bob.writes("to be edited");
  await bob.writes("to be deleted");
  await alice.hears("to be deleted");
  doors[0].shut();
  await alice.sees('#connection[data-state="reconnecting"] >> text=Reconnecting');
  await alice.writes("written in the dark");
  await alice.sees(".pending >> text=Sending");
  await bob.changes("to be edited", "Edit");
  await bob.writes("edited meanwhile");
  await bob.changes("to be deleted", "Delete");
  await bob.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  for (const text of lines("missed", 5)) await bob.writes(text);
  await bob.hears("missed 5");
  doors[0].open();
  await alice.isConnected();
  await bob.hears("written in the dark");
  const expected = ["edited meanwhile", ...lines("missed", 5), "written in the dark"];
  assert.deepEqual(await bob.texts(), expected);
  await alice.hears("written in the dark");
  await alice.page.waitForFunction((count) => document.querySelectorAll("#timeline .message").length === count, expected.length);
  assert.deepEqual(await alice.texts(), expected);
});

test("a direct is caught up with, its deletions and ticks as well", async (t) => {
  const doors = await openDoors();
  const [alice, bob] = [await person(t, "alice", doors[0].url, { excused: OF_OUTAGES }), await person(t, "bob", doors[1].url)];
  for (const one of [alice, bob]) await one.arrives();
  await alice.opens(bob.name);
  await alice.writes("first");
  await bob.opens(alice.name);
  await bob.writes("a slip");
  await alice.hears("a slip");
  doors[0].shut();
  await alice.sees('#connection[data-state="reconnecting"]');
  await bob.changes("a slip", "Delete");
  await bob.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await bob.writes("something else");
  await alice.writes("dark");
  doors[0].open();
  await alice.isConnected();
  await alice.hears("something else");
  await bob.hears("dark");
  await alice.message("a slip").waitFor({ state: "detached" });
  assert.deepEqual(await alice.texts(), await bob.texts());
  await alice.page.locator(".ticks[aria-label=Read]").nth(1).waitFor();
});

test("a reload loses nothing of what was not yet sent", async (t) => {
  const [door] = await openDoors();
  const alice = await person(t, "alice", door.url, { excused: OF_OUTAGES });
  await alice.arrives();
  const title = fresh("Reload");
  await alice.makesRoom(title);
  // Pages and REST are there, sockets are not.
  door.shutSockets();
  await alice.sees('#connection[data-state="reconnecting"]');
  await alice.writes("kept over a reload");
  await alice.sees(".pending >> text=kept over a reload");
  alice.page.on("dialog", (dialog) => dialog.accept());
  await alice.page.reload();
  await alice.sees(".pending >> text=kept over a reload");
  door.open();
  await alice.hears("kept over a reload");
  assert.deepEqual(await alice.texts(), ["kept over a reload"]);
});

test("who logs out elsewhere is sent to log in", async (t) => {
  const alice = await person(t, "alice", FRONT, { excused: OF_OUTAGES });
  await alice.arrives();
  const other = await alice.page.context().newPage();
  await other.goto(FRONT);
  await other.getByRole("button", { name: "Log out" }).click();
  await other.waitForURL("**/login");
  await alice.page.waitForURL("**/login");
  const nobody = await (await visitor(t)).newPage();
  await nobody.goto(`${FRONT}/io`);
  await nobody.waitForURL("**/login");
});

test("when somebody else logs in in the same browser, nothing of the one before is sent or shown", async (t) => {
  const [door] = await openDoors();
  const alice = await person(t, "alice", door.url, { excused: OF_OUTAGES });
  const bob = await person(t, "bob", FRONT);
  await alice.arrives();
  await bob.arrives();
  const title = fresh("Shared");
  await bob.makesRoom(title);
  await alice.opens(title);
  door.shutSockets();
  await alice.sees('#connection[data-state="reconnecting"]');
  await alice.writes("only alice may say this");
  await alice.sees(".pending");
  const other = fresh("mallory");
  const response = await alice.page.request.post(`${door.url}/register`, { data: { username: other, password: PASSWORD } });
  assert.equal(response.status(), 200);
  door.open();
  await alice.sees(`#me >> text=${other}`);
  await alice.isConnected();
  await alice.writes("mallory's own");
  await bob.hears("mallory's own");
  assert.deepEqual(await bob.texts(), ["mallory's own"]);
  // Her message is kept for her.
  const back = await alice.page.request.post(`${door.url}/login`, { data: { username: alice.name, password: PASSWORD } });
  assert.equal(back.status(), 200);
  await alice.page.reload();
  await bob.hears("only alice may say this");
});

test("only the socket of directs is cut: what was said there meanwhile is in the list", async (t) => {
  const [door] = await openDoors();
  const alice = await person(t, "alice", door.url, { excused: OF_OUTAGES });
  const bob = await person(t, "bob", FRONT);
  await alice.arrives();
  await bob.arrives();
  door.shutSockets((path) => path.startsWith("/ws"));
  await alice.sees('#connection[data-state="reconnecting"]');
  await bob.opens(alice.name);
  await bob.writes("did you get this?");
  await bob.hears("did you get this?");
  door.open();
  await alice.sees(`#directs a:has-text("${bob.name}") .badge >> text=1`);
  await alice.sees(`#directs a:has-text("${bob.name}") .last >> text=did you get this?`);
});
