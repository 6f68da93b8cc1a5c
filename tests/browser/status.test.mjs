// The status page, with real figures and where it is refused them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AxeBuilder } from "@axe-core/playwright";

import { visitor } from "./lib/chromium.mjs";

const violations = async (page) => {
  const found = await new AxeBuilder({ page }).analyze();
  return found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
};

for (const [what, options] of [
  ["on a desk", { viewport: { width: 1280, height: 900 } }],
  ["on a phone, in the dark", { viewport: { width: 360, height: 740 }, colorScheme: "dark" }],
]) {
  test(`${what} it shows every replica and what they do together`, async (t) => {
    const page = await (await visitor(t, options)).newPage();
    await page.goto("/status");
    await page.getByRole("status").filter({ hasText: /\d+ replicas/ }).waitFor();
    const gateways = page.getByRole("table", { name: "socket-gateway" });
    await gateways.getByRole("row").filter({ hasText: "ready" }).nth(1).waitFor();
    await page.getByRole("table", { name: "message-api" }).getByRole("cell", { name: "ready" }).waitFor();
    const shown = page.getByRole("listitem").filter({ hasText: "Replicas ready" });
    await shown.filter({ hasText: /[3-9]/ }).waitFor();
    // The line has begun.
    const chart = shown.getByRole("img", { name: /^Replicas ready, the last 2 minutes: most/ });
    await chart.locator("path[d*=L]").waitFor({ state: "attached" });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= options.viewport.width, `${width} px wide`);
    assert.deepEqual(await violations(page), []);
  });
}

test("where a token is wanted it asks for one, and keeps it for this tab only", async (t) => {
  const excused = (complaint) => complaint.includes("status of 401");
  const context = await visitor(t, { excused });
  const shown = [];
  await context.route("**/status.json", async (route) => {
    const token = await route.request().headerValue("authorization");
    shown.push(token);
    if (token === "Bearer the right token") return route.continue({ headers: {} });
    return route.fulfill({ status: 401, json: { error: "show the token of a service" } });
  });
  const page = await context.newPage();
  await page.goto("/status");
  const field = page.getByLabel("The token of a service");
  await field.waitFor();
  assert.deepEqual(await violations(page), []);
  assert.equal(await page.getByRole("table").count(), 0);

  // By keyboard alone: the field has the focus.
  await page.keyboard.type("a wrong token");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "That is not the token of a service." }).waitFor();
  await page.keyboard.type("the right token");
  await page.keyboard.press("Enter");
  await page.getByRole("table", { name: "socket-gateway" }).waitFor();
  assert.deepEqual(shown.slice(0, 3), [null, "Bearer a wrong token", "Bearer the right token"]);
  assert.ok(page.url().endsWith("/status"), "it stands in no address");

  await page.reload();
  await page.getByRole("table", { name: "socket-gateway" }).waitFor();
  const other = await context.newPage();
  await other.goto("/status");
  await other.getByLabel("The token of a service").waitFor();
  await page.getByRole("button", { name: "Forget the token" }).click();
  await field.waitFor();
});

test("when no answers come it says so, and goes on when they do", async (t) => {
  const excused = (complaint) => complaint.includes("status.json");
  const context = await visitor(t, { excused });
  const page = await context.newPage();
  await page.goto("/status");
  const health = page.getByRole("status").first();
  await health.filter({ hasText: "replicas" }).waitFor();
  await context.route("**/status.json", (route) => route.abort());
  await health.filter({ hasText: "No answer" }).waitFor();
  await page.getByText(/^since \d+ s$/).waitFor();
  await context.unroute("**/status.json");
  await health.filter({ hasText: "replicas" }).waitFor();
});
