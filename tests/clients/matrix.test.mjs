// People on different protocols talk to each other, each through a gateway of their own.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "./lib/chatto.mjs";
import { register, request, unique } from "./lib/people.mjs";
import { IN_DIRECTS, IN_LOBBY, IN_ROOMS, messengerSocket } from "./lib/speakers.mjs";
import { GATEWAY_1, GATEWAY_2 } from "./lib/stack.mjs";

/** All ordered pairs; 000's clients relay to each other what they post, so we don't. */
const pairs = (speakers) =>
  Object.keys(speakers)
    .flatMap((from) => Object.keys(speakers).map((to) => [from, to]))
    .filter(([from, to]) => from !== "000" || to !== "000");

/** One message's life: said `here`, it is heard, edited and deleted `there`. */
const lives = async (author, here, there) => {
  const text = `${unique("said")} 👋 <b>&amp;</b>`;
  await here.says(text);
  const heard = await there.hears(text);
  assert.deepEqual(heard, { id: heard.id, author: author.name, text });
  const kept = async () => (await there.history()).filter(({ id }) => id === heard.id);
  assert.deepEqual(await kept(), [heard]);

  const edited = { ...heard, text: `${text} edited` };
  await here.edits(heard.id, edited.text);
  if (there.hearsEdit) assert.deepEqual(await there.hearsEdit(heard.id), edited);
  assert.deepEqual(await kept(), [edited]);

  await here.deletes(heard.id);
  await there.hearsDeletion?.(heard.id);
  assert.deepEqual(await kept(), []);

  const last = unique("last");
  await here.says(last);
  await there.hears(last);
  for (const each of [text, edited.text, last]) assert.deepEqual(there.heardAgain(each), []);
  assert.deepEqual(there.newsAgain?.(heard.id) ?? [], []);
};

const PLACES = {
  "in the lobby": [IN_LOBBY, () => "lobby"],
  "in a room": [IN_ROOMS, (person) => person.makesRoom()],
};

for (const [place, [speakers, find]] of Object.entries(PLACES)) {
  for (const [from, to] of pairs(speakers)) {
    test(`what ${from} says ${place}, ${to} hears once and sees edited and deleted`, async (t) => {
      const [alice, bob] = [await register("alice"), await register("bob")];
      const conversation = await find(alice);
      const here = await speakers[from](t, GATEWAY_1, alice, conversation);
      const there = await speakers[to](t, GATEWAY_2, bob, conversation);
      await lives(alice, here, there);
    });
  }
}

for (const [from, to] of pairs(IN_DIRECTS)) {
  test(`what ${from} says to one user, ${to} hears once and sees edited and deleted`, async (t) => {
    const [alice, bob] = [await register("alice"), await register("bob")];
    const here = await IN_DIRECTS[from](t, GATEWAY_1, alice, bob);
    const there = await IN_DIRECTS[to](t, GATEWAY_2, bob, alice);
    await lives(alice, here, there);
    await lives(bob, there, here);
  });
}

test("a message to one user is heard in 002 and in 003 at once", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const all = Object.values(IN_DIRECTS);
  const there = await Promise.all(all.map((speaks) => speaks(t, GATEWAY_2, bob, alice)));
  const from = await Promise.all(all.map((speaks) => speaks(t, GATEWAY_1, alice, bob)));
  for (const here of from) {
    const text = unique("both");
    await here.says(text);
    const [one, other] = await Promise.all(there.map((each) => each.hears(text)));
    assert.deepEqual(one, other);
  }
});

test("000's own sockets hear what 000 posts only by their clients' relay", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const here = await IN_LOBBY["000"](t, GATEWAY_1, alice, "lobby");
  const there = await IN_LOBBY["000"](t, GATEWAY_2, bob, "lobby");
  const other = await IN_LOBBY["004"](t, GATEWAY_2, bob, "lobby");
  const posted = unique("posted");
  await here.says(posted);
  await other.hears(posted);
  // Behind it in the lobby's order.
  const marker = unique("marker");
  await other.says(marker);
  await there.hears(marker);
  assert.deepEqual(there.heardAgain(posted), []);
});

test("what a guest posts in 000 is heard in 001 and in 004 under the guest's name", async (t) => {
  const bob = await register("bob");
  const speakers = [IN_LOBBY["001"], IN_LOBBY["004"]];
  const listeners = await Promise.all(speakers.map((enter) => enter(t, GATEWAY_2, bob, "lobby")));
  const [author, content] = [unique("guest"), unique("posted")];
  const answer = await request("POST", "/api/v1/messages", { body: { author, content } });
  assert.deepEqual([answer.status, answer.body], [200, { body: "Message Received" }]);
  for (const listener of listeners) {
    const heard = await listener.hears(content);
    assert.deepEqual(heard, { id: heard.id, author, text: content });
  }
});

/** Waits until the newest list of 002 is as wanted. */
const lists = async (socket, wanted) => {
  for (;;) {
    const names = await socket.next("updateUsers");
    if (socket.unread("updateUsers").length === 0 && wanted(names)) return names;
  }
};

test("a 004 socket makes its user online for 003 and listed for 002, until it goes", async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const listening = await connect(t, GATEWAY_2, bob);
  const watching = await messengerSocket(t, GATEWAY_2, bob);
  const isOnline = async () => {
    // All names of ours have one length, so this one comes right before alice's.
    const page = { after: alice.name.slice(0, -1), limit: 1 };
    const { users } = await watching.ask("fetch-users", page);
    assert.equal(users[0].username, alice.name);
    return users[0].isOnline;
  };
  assert.equal(await isOnline(), false);
  await watching.ask("wait-for-user", { user: alice.name });

  const socket = await connect(t, GATEWAY_1, alice);

  assert.deepEqual(await watching.next("user-online"), { user: alice.name });
  assert.equal(await isOnline(), true);
  const names = await lists(listening, (list) => list.includes(alice.name));
  assert.equal(names.filter((name) => name === alice.name).length, 1);

  socket.leaves();

  assert.deepEqual(await watching.next("user-offline"), { user: alice.name });
  assert.equal(await isOnline(), false);
  await lists(listening, (list) => !list.includes(alice.name));
});
