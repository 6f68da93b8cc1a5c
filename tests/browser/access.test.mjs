// For everybody: without a mouse, with a screen reader, on a phone, in light and dark. The screenshots are kept in
// `.local/screenshots`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AxeBuilder } from "@axe-core/playwright";

import { FRONT } from "../clients/lib/stack.mjs";
import { fresh, person } from "./lib/people.mjs";

/** What axe-core finds serious. */
const violations = async (page) => {
  const results = await new AxeBuilder({ page }).analyze();
  return results.violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, any }) => `${target} ${any[0]?.message ?? ""}`).join("; ")}`);
};

const talk = async (alice, bob) => {
  const title = fresh("Design");
  await alice.makesRoom(title);
  await bob.opens(title);
  await alice.writes("Good morning! The new **release** is out 🎉");
  await bob.hears("release");
  await bob.writes("Great. What is in it?\n\n- faster fan-out\n- `since` after sleep\n- see https://example.org/notes");
  await alice.hears("fan-out");
  await bob.writes(`> nothing lost\n\nI like that, @${alice.name}`);
  await alice.hears("I like that");
  await alice.writes("```\nmake run\n```");
  await bob.hears("make run");
  await bob.types("Where is the");
  await alice.sees("#typing >> text=is typing");
  return title;
};

for (const [name, options] of [
  ["desktop", {}],
  ["dark", { colorScheme: "dark" }],
  ["phone", { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }],
]) {
  test(`axe-core finds nothing serious: ${name}`, async (t) => {
    const alice = await person(t, "alice", FRONT, options);
    const bob = await person(t, "bob", FRONT);
    for (const one of [alice, bob]) await one.arrives();
    if (name === "phone") {
      await alice.shot("phone-list");
      assert.deepEqual(await violations(alice.page), []);
    }
    await talk(alice, bob);
    await alice.shot(name);
    assert.deepEqual(await violations(alice.page), []);
    const width = await alice.page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= alice.page.viewportSize().width, `it is ${width} px wide`);
    await alice.page.getByRole("button", { name: "Emoji" }).click();
    assert.deepEqual(await violations(alice.page), []);
    await alice.page.keyboard.press("Escape");
    if (name === "phone") await alice.page.getByRole("button", { name: "Back to the conversations" }).click();
    await alice.page.getByRole("button", { name: "New direct message" }).click();
    await alice.sees(".person");
    assert.deepEqual(await violations(alice.page), []);
  });
}

test("the keyboard is enough", async (t) => {
  const alice = await person(t, "alice", FRONT);
  const bob = await person(t, "bob", FRONT);
  for (const one of [alice, bob]) await one.arrives();
  const { keyboard } = alice.page;
  const focused = () => alice.page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id ?? document.activeElement.textContent);
  // A conversation is found and opened, a message written, edited and deleted.
  await keyboard.press("Control+k");
  await keyboard.type(bob.name);
  await alice.sees(`#lists a >> text=${bob.name}`);
  await keyboard.press("Enter");
  await alice.sees(`#title >> text=${bob.name}`);
  await alice.page.waitForFunction(() => document.activeElement.id === "text");
  await keyboard.type("by keyboard");
  await keyboard.press("Enter");
  await alice.hears("by keyboard");
  await keyboard.press("ArrowUp");
  await alice.sees("#editing");
  await keyboard.press("Escape");
  await alice.seesNo("#editing");
  await keyboard.press("ArrowUp");
  await keyboard.type("!");
  await keyboard.press("Enter");
  await alice.hears("by keyboard!");
  const reached = new Set();
  for (let n = 0; n < 60 && !(await focused())?.startsWith("Delete:"); n += 1) {
    await keyboard.press("Shift+Tab");
    reached.add(await focused());
  }
  await keyboard.press("Enter");
  await alice.sees("#delete-dialog");
  for (let n = 0; n < 6 && (await alice.page.evaluate(() => document.activeElement.textContent)) !== "Delete"; n += 1) await keyboard.press("Tab");
  await keyboard.press("Enter");
  await alice.message("by keyboard!").waitFor({ state: "detached" });
});
