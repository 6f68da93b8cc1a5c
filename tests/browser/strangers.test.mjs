// A page of another origin on the same site: the cookie goes along with what it asks, and nothing comes of it.

import assert from "node:assert/strict";
import http from "node:http";
import { after, test } from "node:test";

import { FRONT } from "../clients/lib/stack.mjs";
import { visitor } from "./lib/chromium.mjs";
import { PASSWORD, fresh } from "./lib/people.mjs";

// Another port is another origin, but the same site: SameSite=Lax does not keep the cookie back.
const foreign = http.createServer((_, response) => {
  response.writeHead(200, { "content-type": "text/html" });
  response.end("<!doctype html><title>elsewhere</title>");
});
await new Promise((resolve) => foreign.listen(0, "127.0.0.1", resolve));
const ELSEWHERE = `http://${new URL(FRONT).hostname}:${foreign.address().port}/`;
after(() => {
  foreign.closeAllConnections();
  foreign.close();
});

/** Somebody logged in, on two pages of one browser: ours, and one elsewhere. Refusals are meant to be. */
const lured = async (t) => {
  const context = await visitor(t, { excused: () => true });
  const name = fresh("alice");
  const account = { username: name, password: PASSWORD };
  const answer = await context.request.post(`${FRONT}/register`, { data: account });
  assert.equal(answer.status(), 200);
  const [ours, theirs] = [await context.newPage(), await context.newPage()];
  await ours.goto(`${FRONT}/login`);
  await theirs.goto(ELSEWHERE);
  const whoIsThere = async () => {
    const answer = await context.request.get(`${FRONT}/api/verify`);
    return answer.status() === 200 ? (await answer.json()).username : undefined;
  };
  return { context, name, ours, theirs, whoIsThere };
};

/** Runs in a page: posts without asking first. Whatever is answered, another origin is not told. */
const post = ([front, text]) =>
  fetch(`${front}/api/conversations/lobby`, { method: "POST", mode: "no-cors", credentials: "include", body: JSON.stringify({ text }) }).then(() => {}, () => {});

/** Runs in a page: opens a socket. Was it let in? */
const connect = (front) =>
  new Promise((resolve) => {
    const socket = new WebSocket(`${front.replace("http", "ws")}/ws/conversations/lobby`);
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
  });

test("a page elsewhere posts nothing and opens no socket in the visitor's name; our own does both", async (t) => {
  const { context, ours, theirs } = await lured(t);
  const [evil, good] = [fresh("evil"), fresh("good")];
  await theirs.evaluate(post, [FRONT, evil]);
  await ours.evaluate(post, [FRONT, good]);
  const lobby = await context.request.get(`${FRONT}/api/conversations/lobby?N=100`);
  const texts = (await lobby.json()).messages.map(({ text }) => text);
  assert.ok(texts.includes(good), "our own page posts");
  assert.ok(!texts.includes(evil), "theirs does not");
  assert.equal(await ours.evaluate(connect, FRONT), true);
  assert.equal(await theirs.evaluate(connect, FRONT), false);
});

test("a page elsewhere reads nothing", async (t) => {
  const { ours, theirs } = await lured(t);
  const read = (front) => fetch(`${front}/api/inbox`, { credentials: "include" }).then(({ status }) => status, () => "unreadable");
  assert.equal(await ours.evaluate(read, FRONT), 200);
  assert.equal(await theirs.evaluate(read, FRONT), "unreadable");
  const poll = (front) => fetch(`${front}/socket.io/?EIO=4&transport=polling`, { credentials: "include" }).then(({ status }) => status, () => "unreadable");
  assert.equal(await ours.evaluate(poll, FRONT), 200);
  assert.equal(await theirs.evaluate(poll, FRONT), "unreadable");
});

test("an image or a link elsewhere logs nobody out, and whoever means it is asked once more", async (t) => {
  const { name, theirs, whoIsThere } = await lured(t);
  await theirs.evaluate((front) => new Promise((resolve) => {
    const image = new Image();
    image.onload = image.onerror = resolve;
    image.src = `${front}/logout`;
  }), FRONT);
  assert.equal(await whoIsThere(), name);
  await theirs.evaluate((front) => {
    document.body.innerHTML = `<a href="${front}/logout">free gifts</a>`;
  }, FRONT);
  await theirs.getByText("free gifts").click();
  await theirs.waitForURL(`${FRONT}/logout`);
  assert.equal(await whoIsThere(), name);
  await theirs.getByRole("button", { name: "Log out" }).click();
  await theirs.waitForURL(`${FRONT}/login`);
  assert.equal(await whoIsThere(), undefined);
});

test("a form elsewhere logs nobody in as somebody else", async (t) => {
  const { name, theirs, whoIsThere } = await lured(t);
  const attacker = { username: fresh("mallory"), password: PASSWORD };
  const made = await fetch(`${FRONT}/api/register`, { method: "POST", body: JSON.stringify(attacker) });
  assert.equal(made.status, 201);
  await theirs.evaluate(([front, { username, password }]) => {
    document.body.innerHTML = `<form method="post" action="${front}/login"><input name="username" value="${username}"><input name="password" value="${password}"><button>Play</button></form>`;
  }, [FRONT, attacker]);
  await theirs.getByRole("button", { name: "Play" }).click();
  await theirs.getByRole("alert").waitFor();
  assert.equal(new URL(theirs.url()).origin, FRONT);
  assert.equal(await whoIsThere(), name);
});

test("a page elsewhere frames none of ours", async (t) => {
  const { theirs } = await lured(t);
  const framed = (front) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    // What is shown instead is of no origin: it can't be looked into, either way.
    frame.onload = () => resolve(frame.contentDocument === null);
    frame.src = `${front}/login`;
    document.body.append(frame);
  });
  assert.equal(await theirs.evaluate(framed, FRONT), true);
  assert.ok(theirs.frames().every((frame) => !frame.url().startsWith(`${FRONT}/login`)), "it is not there");
});
