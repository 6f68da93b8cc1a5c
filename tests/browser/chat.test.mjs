// Two people at two browsers, on two gateways.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openDoors } from "./lib/door.mjs";
import { fresh, person } from "./lib/people.mjs";

/** A red dot. */
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==", "base64");

const two = async (t, options = {}) => {
  const doors = await openDoors();
  const people = [await person(t, "alice", doors[0].url, options), await person(t, "bob", doors[1].url, options)];
  for (const one of people) await one.arrives();
  return [...people, doors];
};

test("a room: they talk, see each other type, edit and delete", async (t) => {
  const [alice, bob] = await two(t);
  const title = fresh("Garden");
  await alice.makesRoom(title);
  await bob.opens(title);
  await alice.writes("Does **anybody** know this plant?");
  await bob.hears("Does anybody know this plant?");
  assert.equal(await bob.message("plant").locator("strong").innerText(), "anybody");
  await bob.types("An oak");
  await alice.sees(`#typing >> text=${bob.name} is typing`);
  await bob.page.keyboard.press("Enter");
  await alice.hears("An oak");
  await alice.seesNo(`#typing >> text=${bob.name}`);
  await bob.types("another one");
  await alice.sees(`#typing >> text=${bob.name} is typing`);
  await alice.seesNo(`#typing >> text=${bob.name}`);
  await bob.page.getByRole("textbox", { name: "Message" }).fill("");
  await bob.changes("An oak", "Edit");
  await bob.writes("An old oak 🌳");
  await alice.hears("An old oak 🌳");
  await alice.sees(".message footer >> text=edited");
  await alice.changes("plant", "Delete");
  await alice.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await bob.message("plant").waitFor({ state: "detached" });
  assert.deepEqual(await bob.texts(), ["An old oak 🌳"]);
  assert.deepEqual(await alice.texts(), ["An old oak 🌳"]);
  await alice.page.reload();
  await alice.hears("An old oak 🌳");
  await alice.sees(".message footer >> text=edited");
});

test("a direct: badge and preview, ticks, typing, and an image with its progress", async (t) => {
  const [alice, bob] = await two(t);
  await alice.opens(bob.name);
  await alice.writes("psst");
  await bob.sees(`#directs a:has-text("${alice.name}") .badge >> text=1`);
  await bob.sees(`#directs a:has-text("${alice.name}") .last >> text=psst`);
  assert.match(await bob.page.title(), /^\(1\)/);
  await alice.sees(".ticks[aria-label=Sent]");
  await bob.opens(alice.name);
  await alice.sees(".ticks[aria-label=Read]");
  await bob.seesNo("#directs .badge");
  await bob.types("hm, let me see");
  await alice.sees(`#typing >> text=${bob.name} is typing`);
  await bob.page.getByRole("textbox", { name: "Message" }).fill("");
  await alice.seesNo(`#typing >> text=${bob.name}`);
  await bob.page.locator("#files").setInputFiles([{ name: "dot.png", mimeType: "image/png", buffer: PNG }]);
  await bob.sees("#attachments li.ready");
  await bob.writes("a red dot");
  await alice.hears("a red dot");
  const image = alice.message("a red dot").locator("img");
  await image.waitFor();
  await alice.page.waitForFunction((img) => img.complete && img.naturalWidth === 5, await image.elementHandle());
});

test("images come into a room by paste and by drop, too; what is none is told", async (t) => {
  const [alice, bob] = await two(t, { excused: /status of 415/ });
  const title = fresh("Pictures");
  await alice.makesRoom(title);
  await bob.opens(title);
  const give = (kind, target, name, type, base64) => alice.page.evaluate(([kind, target, name, type, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const files = new DataTransfer();
    files.items.add(new File([bytes], name, { type }));
    const about = { bubbles: true, cancelable: true };
    const event = kind === "paste" ? new ClipboardEvent("paste", { ...about, clipboardData: files }) : new DragEvent(kind, { ...about, dataTransfer: files });
    document.querySelector(target).dispatchEvent(event);
  }, [kind, target, name, type, base64]);
  await give("paste", "#text", "pasted.png", "image/png", PNG.toString("base64"));
  await alice.sees("#attachments li.ready");
  await give("dragenter", "#scroller", "dropped](x).png", "image/png", PNG.toString("base64"));
  await alice.sees("#drop");
  await give("drop", "#scroller", "dropped](x).png", "image/png", PNG.toString("base64"));
  await alice.seesNo("#drop");
  await alice.page.locator("#attachments li.ready").nth(1).waitFor();
  await alice.page.keyboard.press("Enter");
  await bob.page.locator(".message .text img").nth(1).waitFor();
  await give("paste", "#text", "notes.txt", "text/plain", btoa("hello"));
  await alice.sees("#problem >> text=notes.txt is not an image");
  await give("paste", "#text", "liar.png", "image/png", btoa("hello"));
  await alice.sees("#problem >> text=liar.png was not uploaded");
});

test("history loads on scrolling up, and nothing jumps", async (t) => {
  const [alice, bob] = await two(t);
  const title = fresh("Long");
  await alice.makesRoom(title);
  const id = (await alice.page.url()).split("/").at(-1);
  for (let n = 1; n <= 180; n += 1) {
    const response = await alice.page.request.post(`${alice.base}/api/conversations/${id}`, { data: { text: `line ${n} of many` } });
    assert.equal(response.status(), 200);
  }
  await bob.page.reload();
  await bob.opens(title);
  await bob.hears("line 180 of many");
  const scroller = bob.page.locator("#scroller");
  const placeOf = (text) => bob.message(text).first().evaluate((row) => row.getBoundingClientRect().top);
  const shown = () => bob.page.locator("#timeline .message").count();
  const before = await shown();
  assert.ok(before < 150, `${before} of 180 were fetched at once`);
  await scroller.evaluate((element) => {
    element.scrollTop = 300;
  });
  const seen = await bob.page.evaluate(() => document.elementFromPoint(700, 300).closest(".message").innerText.match(/line \d+ of many/)[0]);
  const place = await placeOf(seen);
  await bob.page.waitForFunction((count) => document.querySelectorAll("#timeline .message").length > count, before);
  assert.ok(Math.abs(await placeOf(seen) - place) < 2, `${seen} went from ${place} to ${await placeOf(seen)}`);
  // A new message does not pull down who reads.
  await alice.writes("a late one");
  await bob.sees("#newer >> text=1 new message");
  assert.ok(Math.abs(await placeOf(seen) - place) < 2);
  await bob.page.waitForFunction(() => {
    document.querySelector("#scroller").scrollTop = 0;
    return document.querySelectorAll("#timeline .message").length === 181;
  });
  const texts = await bob.texts();
  assert.deepEqual(texts, [...Array.from({ length: 180 }, (_, n) => `line ${n + 1} of many`), "a late one"]);
  await bob.page.locator("#newer").click();
  await bob.seesNo("#newer");
});

test("what is unread counts on the server: another device sees it too", async (t) => {
  const [alice, bob, doors] = await two(t);
  const title = fresh("News");
  await alice.makesRoom(title);
  await bob.opens(title);
  await alice.writes("first");
  await bob.hears("first");
  await bob.opens("Lobby");
  await alice.writes("second");
  await alice.writes("third");
  const badge = `#rooms a:has-text("${title}") .badge`;
  await bob.sees(`${badge} >> text=2`);
  const page = await bob.page.context().newPage();
  await page.goto(doors[0].url);
  await page.locator(`${badge} >> text=2`).waitFor();
  await page.close();
  await bob.opens(title);
  await bob.sees(".new >> text=New");
  await bob.seesNo(badge);
  await bob.page.waitForTimeout(1_000);
  await bob.page.reload();
  await bob.isConnected();
  await bob.seesNo(badge);
});

test("a desktop notification tells of a direct, and of a room where one is named, if that is wanted", async (t) => {
  const [alice, bob] = await two(t, { permissions: ["notifications"] });
  // What the system would be asked to show; nothing else of it can be seen from here.
  await bob.page.addInitScript(() => {
    window.shown = [];
    window.Notification = class extends EventTarget {
      static permission = "granted";
      static requestPermission = async () => "granted";
      constructor(title, { body }) {
        super();
        window.shown.push([title, body]);
      }
    };
  });
  await bob.page.reload();
  await bob.isConnected();
  const shown = () => bob.page.evaluate(() => window.shown);
  await alice.opens(bob.name);
  await alice.writes("not asked for yet");
  await bob.sees(`#directs a:has-text("${alice.name}") .badge`);
  assert.deepEqual(await shown(), []);
  await bob.page.getByRole("button", { name: "Desktop notifications are off" }).click();
  await alice.writes("**look** here");
  await bob.page.waitForFunction(() => window.shown.length === 1);
  const title = fresh("Named");
  await alice.makesRoom(title);
  await alice.writes("nothing for anybody");
  await alice.writes(`@${bob.name} something for you`);
  await bob.page.waitForFunction(() => window.shown.length === 2);
  assert.deepEqual(await shown(), [[alice.name, "look here"], [`${alice.name} in ${title}`, `@${bob.name} something for you`]]);
  // What is looked at needs none.
  await bob.opens(title);
  await alice.writes(`@${bob.name} and now?`);
  await bob.hears("and now?");
  assert.equal((await shown()).length, 2);
});

test("colours are as the system says, or as chosen, and stay so", async (t) => {
  const alice = (await two(t, { colorScheme: "dark" }))[0];
  const ground = () => alice.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await alice.page.getByRole("button", { name: "Colours as the system says" }).click();
  const light = await ground();
  assert.notEqual(light, dark);
  await alice.page.reload();
  await alice.isConnected();
  assert.equal(await ground(), light);
  await alice.page.getByRole("button", { name: "Light colours" }).click();
  assert.equal(await ground(), dark);
});
