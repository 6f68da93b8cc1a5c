// Debian's Chromium at the front door of a product, watched for what it complains of.

import assert from "node:assert/strict";
import { after } from "node:test";

import { chromium } from "playwright-core";

import { FRONT, PATIENCE } from "../../clients/lib/stack.mjs";

// Nothing but this machine is asked for anything, not even a proxy.
const ARGS = [
  "--no-proxy-server",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
];

let browser;
const launched = () => {
  browser ??= chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ARGS,
    timeout: 30_000,
  });
  return browser;
};
after(async () => (await browser)?.close());

/**
 * Somebody's browser: its own cookies, closed when the test ends. `options` are Playwright's of a
 * context. Once it is closed, the test fails if a page of it complained: of a script's error, of
 * what a policy forbade, of a file that could not be had. `excused` takes complaints that are
 * meant to be.
 */
export const visitor = async (t, { excused = () => false, ...options } = {}) => {
  const context = await (await launched()).newContext({ baseURL: FRONT, ...options });
  context.setDefaultTimeout(PATIENCE);
  const complaints = [];
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    }
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints.filter((complaint) => !excused(complaint)), []);
  });
  return context;
};
