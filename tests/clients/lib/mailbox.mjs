// What one socket was sent, in the order in which it came.

import { within } from "./stack.mjs";

const anything = () => true;

/** Messages under a name, each taken once by whoever waits for it. */
export class Mailbox {
  #unread = [];
  #waiting = [];

  /** Takes in a message. */
  put(name, body) {
    const message = { name, body };
    const at = this.#waiting.findIndex((wait) => wait.wants(message));
    if (at < 0) {
      this.#unread.push(message);
    } else {
      this.#waiting.splice(at, 1)[0].resolve(body);
    }
  }

  /** The first message of that name which matches and was not taken yet; waits for it. */
  next(name, matches = anything, patience = undefined) {
    const wants = (message) => message.name === name && matches(message.body);
    const at = this.#unread.findIndex(wants);
    if (at >= 0) {
      return Promise.resolve(this.#unread.splice(at, 1)[0].body);
    }
    const wait = { wants };
    const found = new Promise((resolve) => {
      wait.resolve = resolve;
    });
    this.#waiting.push(wait);
    const there = () => `${name}; there are ${JSON.stringify(this.#unread).slice(0, 2_000)}`;
    return within(found, there, patience).finally(() => {
      this.#waiting = this.#waiting.filter((other) => other !== wait);
    });
  }

  /** Takes so many messages of that name; waits for them. */
  async many(name, count, patience = undefined) {
    const bodies = [];
    while (bodies.length < count) {
      bodies.push(await this.next(name, anything, patience));
    }
    return bodies;
  }

  /** The messages of that name which nobody has taken. */
  unread(name) {
    return this.#unread.filter((message) => message.name === name).map((message) => message.body);
  }
}
