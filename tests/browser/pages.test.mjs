// The pages with the forms, and where they lead.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AxeBuilder } from "@axe-core/playwright";

import { FRONT } from "../clients/lib/stack.mjs";
import { visitor } from "./lib/chromium.mjs";
import { PASSWORD, fresh } from "./lib/people.mjs";

const fill = async (page, name, password) => {
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(password);
};

test("somebody registers by the form and lands on the chat", async (t) => {
  const page = await (await visitor(t)).newPage();
  await page.goto("/");
  assert.equal(page.url(), `${FRONT}/login`);
  await page.getByRole("link", { name: "I am new here" }).click();
  await page.waitForURL("**/register");

  await fill(page, fresh("alice"), PASSWORD);
  await page.getByRole("button", { name: "Register" }).click();
  await page.waitForURL("**/io");
  assert.equal((await page.goto("/")).status(), 200);
  assert.equal(page.url(), `${FRONT}/`);
});

test("a wrong password is told, and the name is still there", async (t) => {
  const excused = (complaint) => complaint.includes("status of 401");
  const page = await (await visitor(t, { excused })).newPage();
  await page.goto("/login");
  assert.equal(await page.getByRole("alert").isVisible(), false);
  const name = `"${fresh("nobody")}`;
  await fill(page, name, "wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
  assert.equal(await page.getByLabel("User name").inputValue(), name);
});

for (const path of ["/login", "/register"]) {
  test(`${path} can be used by everybody`, async (t) => {
    const page = await (await visitor(t)).newPage();
    await page.goto(path);
    const { violations } = await new AxeBuilder({ page }).analyze();
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
  });
}
