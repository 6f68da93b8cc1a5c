// People at browsers. They do what people can do on the page, and wait for what people would see.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";

import { PASSWORD, unique as fresh } from "../../clients/lib/people.mjs";
import { visitor } from "./chromium.mjs";

export { PASSWORD, fresh };

/** Where screenshots are kept. */
const SHOTS = new URL("../../../.local/screenshots/", import.meta.url).pathname;

/** What a page may complain of while the test has cut it off. */
export const OF_OUTAGES = /Failed to load resource|WebSocket connection to|ERR_(CONNECTION|EMPTY)/;

export class Person {
  constructor(page, name, base) {
    Object.assign(this, { page, name, base });
  }

  /** Opens the chat, as somebody who is logged in. */
  async arrives(hash = "") {
    await this.page.goto(`${this.base}/${hash}`);
    await this.isConnected();
    return this;
  }

  async isConnected() {
    await this.page.locator("html[data-ready]").waitFor({ state: "attached" });
    await this.page.locator('#connection[data-state="online"]').waitFor({ state: "attached" });
  }

  async opens(title) {
    await this.page.locator("#lists a").filter({ has: this.page.getByText(title, { exact: true }) }).first().click();
    await this.sees(`#title >> text=${title}`);
  }

  async makesRoom(title) {
    await this.page.getByRole("button", { name: "New room" }).click();
    await this.page.getByRole("textbox", { name: "Name" }).fill(title);
    await this.page.getByRole("button", { name: "Create" }).click();
    await this.sees(`#title >> text=${title}`);
  }

  /** Slowly: a server that is told too often does not tell on. */
  async types(text) {
    await this.page.getByRole("textbox", { name: "Message" }).pressSequentially(text, { delay: 250 });
  }

  async writes(text) {
    await this.page.getByRole("textbox", { name: "Message" }).fill(text);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  /** A message with this text, shown as stored. */
  message(text) {
    return this.page.locator("#timeline .message:not(.pending)").filter({ hasText: text });
  }

  async hears(text) {
    await this.message(text).first().waitFor();
  }

  async sees(selector) {
    await this.page.locator(selector).first().waitFor();
  }

  async seesNo(selector) {
    await this.page.locator(selector).first().waitFor({ state: "hidden" });
  }

  /** The texts that are shown, from the first to the last, once nothing is pending. */
  async texts() {
    await this.page.locator("#timeline .pending").first().waitFor({ state: "detached" });
    return this.page.locator("#timeline .message .text").allInnerTexts();
  }

  async changes(text, action) {
    const row = this.message(text).first();
    await row.hover();
    await row.getByRole("button", { name: new RegExp(`^${action}`) }).click();
  }

  async shot(name) {
    await mkdir(SHOTS, { recursive: true });
    await this.page.evaluate(() => Promise.allSettled(document.getAnimations().map(({ finished }) => finished)));
    return this.page.screenshot({ path: `${SHOTS}${name}.png` });
  }
}

/**
 * Somebody who is registered and logged in, with a browser of their own at `base`. `excused` (a regular
 * expression) is what the page may complain of; the rest are options of a Playwright context.
 */
export async function person(t, name, base, { excused, ...options } = {}) {
  const context = await visitor(t, {
    viewport: { width: 1280, height: 800 }, locale: "en-GB", excused: (complaint) => excused?.test(complaint) ?? false, ...options,
  });
  const username = fresh(name);
  const response = await context.request.post(`${base}/register`, { data: { username, password: PASSWORD } });
  assert.equal(response.status(), 200, await response.text());
  return new Person(await context.newPage(), username, base);
}
