// What people may type: nothing of it becomes part of the page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { FRONT } from "../clients/lib/stack.mjs";
import { fresh, person } from "./lib/people.mjs";

const SCRIPT = "window.hacked = true";

const TEXTS = [
  `<script>${SCRIPT}</script>`,
  `<img src=x onerror="${SCRIPT}">`,
  `<svg/onload="${SCRIPT}">`,
  `<iframe srcdoc="<script>parent.hacked=true</script>"></iframe>`,
  `[a link](javascript:${SCRIPT})`,
  `[a link](JaVaScRiPt:${SCRIPT})`,
  `[a link](data:text/html,<script>${SCRIPT}</script>)`,
  `[a link](&#106;avascript:${SCRIPT})`,
  `![x](javascript:${SCRIPT})`,
  `![x" onerror="${SCRIPT}](/media/x)`,
  `![x](/media/x" onerror="${SCRIPT})`,
  `<a href="javascript:${SCRIPT}">click</a>`,
  `<style>body { display: none }</style>`,
  `<form action="https://evil.example"><input name=password></form>`,
  `<base href="https://evil.example/">`,
  `<math><mtext><table><mglyph><style><img src=x onerror="${SCRIPT}">`,
  "`<img src=x onerror=\"" + SCRIPT + "\">`",
  `[cats](/logout) [dogs](${FRONT}/logout)`,
  ">".repeat(4_000),
  "- ".repeat(1_900) + "x",
  "*a_".repeat(1_300),
  `{{constructor.constructor('${SCRIPT}')()}} \${${SCRIPT}}`,
  `<div id="text" name="cookie">clobbered</div>`,
];

test("script in texts, titles and previews does nothing", async (t) => {
  // `/media/x` is nowhere: that it is missing may be said.
  const [alice, bob] = [await person(t, "alice", FRONT, { excused: /status of 404/ }), await person(t, "bob", FRONT, { excused: /status of 404/ })];
  for (const one of [alice, bob]) await one.arrives();
  const title = `<img src=x onerror="${SCRIPT}">${fresh("x")}`;
  await alice.makesRoom(title);
  await bob.opens(title);
  await bob.opens("Lobby");
  for (const text of TEXTS) await alice.writes(text);
  await alice.page.locator(".pending").first().waitFor({ state: "detached" });
  await bob.opens(title);
  await bob.page.waitForFunction((count) => document.querySelectorAll(".message").length === count, TEXTS.length);
  const found = await bob.page.evaluate(() => ({
    hacked: window.hacked ?? false,
    elements: document.querySelectorAll("#timeline :is(script, iframe, svg.x, form, input, style, base, math, object, embed, video)").length,
    ours: [...document.querySelectorAll("#timeline a[href]")].filter(({ pathname, host }) => host === location.host && !pathname.startsWith("/media/")).length,
    links: [...document.querySelectorAll("#timeline a")].map((link) => link.protocol).filter((protocol) => !/^(https?)?:$/.test(protocol)),
    handlers: [...document.querySelectorAll("#conversation *")].flatMap((element) => element.getAttributeNames()).filter((name) => name.startsWith("on")),
    sources: [...document.querySelectorAll("#timeline img")].map((image) => image.getAttribute("src")).filter((src) => !src.startsWith("/media/")),
    title: document.querySelector("#title").textContent,
  }));
  assert.deepEqual(found, { hacked: false, elements: 0, ours: 0, links: [], handlers: [], sources: [], title: `# ${title}` });
  const shown = await bob.texts();
  assert.equal(shown[0], TEXTS[0], "HTML is shown as it was typed");
  for (const link of await bob.page.locator("#timeline a").all()) {
    assert.match(await link.getAttribute("rel"), /noopener/);
  }
  assert.equal(await alice.page.evaluate(() => window.hacked ?? false), false);
});

test("what other protocols' clients send is text here, too", async (t) => {
  const alice = await person(t, "alice", FRONT);
  await alice.arrives();
  const mark = fresh("guest");
  const answer = await fetch(`${FRONT}/api/v1/messages`, {
    method: "POST", body: JSON.stringify({ author: mark, content: `<img src=x onerror="${SCRIPT}">${mark}` }),
  });
  assert.equal(answer.status, 200);
  await alice.hears(mark);
  assert.equal(await alice.page.evaluate(() => window.hacked ?? false), false);
});

test("a text that would become half a million elements stays a text", async (t) => {
  const alice = await person(t, "alice", FRONT);
  await alice.arrives();
  const row = (cell, count) => Array(count).fill(cell).join("|");
  const table = (columns, rows) => `${row("a", columns)}\n${row("-", columns)}\n${"b\n".repeat(rows)}`;
  const bombs = [
    table(500, 990),
    `> ${table(300, 900).replaceAll("\n", "\n> ")}`,
    `- ${table(300, 600).replaceAll("\n", "\n  ")}`,
    `[a]: http://x${"x".repeat(1900)}\n\n${"[a]".repeat(500)}`,
  ];
  const author = fresh("guest");
  for (const bomb of bombs) {
    const content = `${bomb.slice(0, 3900).trimEnd()}\n\n${author}`;
    const answer = await fetch(`${FRONT}/api/v1/messages`, { method: "POST", body: JSON.stringify({ author, content }) });
    assert.equal(answer.status, 200);
  }
  await alice.page.waitForFunction(
    ([author, count]) => [...document.querySelectorAll(".message")].filter((row) => row.textContent.includes(author)).length === count,
    [author, bombs.length],
  );
  const elements = await alice.page.evaluate(() => document.querySelectorAll("#timeline td, #timeline a").length);
  assert.ok(elements < 1_000, `${elements} cells and links`);
  // A table of a human size is one.
  await alice.writes("|name|likes|\n|-|-|\n|bob|tea|");
  await alice.sees("#timeline table >> text=tea");
});
