// People at browsers. They do what people can do on the page, and wait for what people would see.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after } from "node:test";

import { chromium } from "playwright-core";

/** Longest that anything on a page may take, in ms. The machine is small. */
export const PATIENCE = 20_000;

const SHOTS = new URL("../../../.local/screenshots/", import.meta.url).pathname;

const PASSWORD = "open sesame";

// Chromium as root has no sandbox; without the rest it would look for servers elsewhere.
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--no-proxy-server"];

let browser;
const launched = async () => (browser ??= await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS }));
after(() => browser?.close());

let count = 0;

/** A name that nobody else has. */
export const fresh = (name) => `${name}-${process.pid.toString(36)}${Date.now().toString(36).slice(-5)}${(count += 1)}`;

/** What a page may say of an outage that the test made itself. */
const OF_OUTAGES = /Failed to load resource|WebSocket connection to|ERR_(CONNECTION|EMPTY)/;

export class Person {
  constructor(page, name, base, { outages }) {
    Object.assign(this, { page, name, base, problems: [] });
    page.on("pageerror", (error) => this.problems.push(error.stack));
    page.on("console", (line) => {
      const isOfOutage = outages && OF_OUTAGES.test(line.text());
      if (["error", "warning"].includes(line.type()) && !isOfOutage) this.problems.push(line.text());
    });
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol.startsWith("http") && origin !== new URL(base).origin) this.problems.push(`asked ${request.url()}`);
    });
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

  async types(text) {
    await this.page.getByRole("textbox", { name: "Message" }).pressSequentially(text);
  }

  async writes(text) {
    await this.page.getByRole("textbox", { name: "Message" }).fill(text);
    await this.page.keyboard.press("Enter");
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
 * Somebody who is registered and logged in, with a browser of their own at `base`. At the end of the test the
 * page must have had nothing to complain of, nor have asked any other host.
 */
export async function person(t, name, base, { outages = false, ...context } = {}) {
  const own = await (await launched()).newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...context });
  own.setDefaultTimeout(PATIENCE);
  t.after(() => own.close());
  const username = fresh(name);
  const response = await own.request.post(`${base}/register`, { data: { username, password: PASSWORD } });
  assert.equal(response.status(), 200, await response.text());
  const somebody = new Person(await own.newPage(), username, base, { outages });
  t.after(() => assert.deepEqual(somebody.problems, [], `${username}'s page complained`));
  return somebody;
}

/** A browser without anybody logged in. */
export async function stranger(t, context = {}) {
  const own = await (await launched()).newContext({ locale: "en-GB", ...context });
  own.setDefaultTimeout(PATIENCE);
  t.after(() => own.close());
  return own.newPage();
}
