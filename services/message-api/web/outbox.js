// What was written here goes out in its order, one after the other in each conversation. It is kept until
// the server has it for good, over reconnects and reloads. Each carries a `clientId`, so that sending
// again never makes two of it.

/** The server's no, or that it did not answer. `code` is one of the product's codes, or `unanswered`. */
export class Refusal extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }

  /** May the same succeed a little later? */
  get isPassing() {
    return ["unanswered", "unavailable", "rate_limited", "internal", "not_joined"].includes(this.code);
  }
}

/** How often something is tried while the server can be reached, and how long between, in ms. */
const TRIES = 6;
const pauseAfter = (tries) => Math.min(15_000, 500 * 2 ** tries);

export class Outbox {
  /**
   * `send(conversation, item)` resolves to the stored message or rejects with a `Refusal`;
   * `canSend(conversation)` tells whether there is a connection that it could take;
   * `storage` is like `sessionStorage`, and never throws; `changed()` is called when something is to be drawn anew.
   */
  constructor({ send, canSend, storage, name, changed, newId }) {
    Object.assign(this, { send, canSend, storage, changed, newId });
    this.place = `outbox:${name}`;
    this.conversations = new Set();
    this.busy = new Set();
  }

  /** Takes up what an earlier page left unsent. `find(key)` gives the conversation. */
  restore(find) {
    let kept = [];
    try {
      kept = JSON.parse(this.storage.getItem(this.place) ?? "[]");
    } catch {
      // What cannot be read cannot be sent.
    }
    for (const { key, ...item } of kept) {
      const conversation = find(key);
      conversation.pending.push({ ...item, state: item.state === "failed" ? "failed" : "waiting", tries: 0 });
      this.conversations.add(conversation);
    }
  }

  /** Its conversation is nowhere any more. */
  drop(conversation) {
    this.conversations.delete(conversation);
    this.#note();
  }

  get isEmpty() {
    return [...this.conversations].every(({ pending }) => pending.length === 0);
  }

  add(conversation, text, media = []) {
    const item = { clientId: this.newId(), text, media, at: Date.now(), state: "waiting", tries: 0 };
    conversation.pending.push(item);
    this.conversations.add(conversation);
    this.#note();
    this.flush(conversation);
  }

  /** Sends what waits, where there is a connection. */
  flushAll() {
    for (const conversation of this.conversations) this.flush(conversation);
  }

  async flush(conversation) {
    if (this.busy.has(conversation)) return;
    this.busy.add(conversation);
    let item;
    while (this.canSend(conversation) && (item = conversation.pending.find(({ state }) => state === "waiting"))) {
      const goesOn = await this.#try(conversation, item);
      if (!goesOn) break;
    }
    this.busy.delete(conversation);
  }

  /** Sends one. Should the next follow at once? */
  async #try(conversation, item) {
    item.state = "sending";
    item.isTried = true;
    item.tries += 1;
    this.#note();
    try {
      const message = await this.send(conversation, item);
      conversation.pending = conversation.pending.filter((other) => other !== item);
      conversation.merge([message]);
      return true;
    } catch (error) {
      const isPassing = error instanceof Refusal && error.isPassing;
      if (isPassing && !this.canSend(conversation)) item.tries = 0;
      if (isPassing && item.tries < TRIES) {
        item.state = "waiting";
        if (this.canSend(conversation)) setTimeout(() => this.flush(conversation), pauseAfter(item.tries));
        return false;
      }
      item.state = "failed";
      item.error = error.message;
      return true;
    } finally {
      conversation.release();
      this.#note();
    }
  }

  retry(conversation, clientId) {
    const item = conversation.pending.find((one) => one.clientId === clientId);
    if (item?.state !== "failed") return;
    Object.assign(item, { state: "waiting", tries: 0, error: undefined });
    this.#note();
    this.flush(conversation);
  }

  discard(conversation, clientId) {
    conversation.pending = conversation.pending.filter((one) => one.clientId !== clientId || one.state === "sending");
    conversation.release();
    this.#note();
  }

  #note() {
    const kept = [...this.conversations].flatMap(({ key, pending }) =>
      pending.map(({ clientId, text, media, at, state, isTried, error }) => ({ key, clientId, text, media, at, state, isTried, error })));
    if (kept.length === 0) this.storage.removeItem(this.place);
    else this.storage.setItem(this.place, JSON.stringify(kept));
    this.changed();
  }
}
