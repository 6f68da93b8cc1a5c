// All that this page knows. Whoever changes it says so by `changed`; views draw what they find.

import { Conversation } from "./conversation.js";

/** No more than this is counted. */
export const MANY = 100;

const byActivity = (a, b) => b.activity - a.activity || a.title.localeCompare(b.title);

/** In this browser somebody else has logged in meanwhile: what is here is not theirs. */
export class SomebodyElse extends Error {}

export class Store extends EventTarget {
  constructor() {
    super();
    /** The name of who is logged in. */
    this.me = "";
    this.textMax = 4_000;
    this.conversations = new Map();
    /** Names of everybody who is online. */
    this.online = new Set();
    /** The conversation that is shown. */
    this.active = null;
    /** Is somebody looking at it, at its newest message? */
    this.isLooking = () => false;
  }

  /** Tells the views, once for all changes of this turn. */
  changed() {
    if (this.isTold) return;
    this.isTold = true;
    queueMicrotask(() => {
      this.isTold = false;
      this.dispatchEvent(new Event("change"));
    });
  }

  room(id, title) {
    return this.#find("room", id, title);
  }

  direct(name) {
    return this.#find("direct", name);
  }

  #find(kind, id, title) {
    const key = `${kind}/${id}`;
    if (!this.conversations.has(key)) this.conversations.set(key, new Conversation(kind, id, title));
    return this.conversations.get(key);
  }

  /** Whose key this is, if it is known. */
  at(key) {
    return this.conversations.get(key) ?? null;
  }

  /** The lobby, then the rooms by activity. */
  get rooms() {
    const rooms = [...this.conversations.values()].filter(({ isRoom }) => isRoom).sort(byActivity);
    return [...rooms.filter(({ id }) => id === "lobby"), ...rooms.filter(({ id }) => id !== "lobby")];
  }

  /** The directs in which something was said, or that are shown, newest first. */
  get directs() {
    return [...this.conversations.values()]
      .filter((one) => !one.isRoom && (one.last || one.pending.length > 0 || one === this.active))
      .sort(byActivity);
  }

  /** It is nowhere any more. */
  drop(conversation) {
    this.conversations.delete(conversation.key);
    if (this.active === conversation) this.active = null;
    this.dispatchEvent(new CustomEvent("drop", { detail: conversation }));
    this.changed();
  }

  get unread() {
    return [...this.conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
  }

  /** Takes over what the server says of all conversations, asked for at `askedAt` (`performance.now()`). */
  apply(inbox, askedAt = performance.now()) {
    if (this.me && this.me !== inbox.user.username) throw new SomebodyElse();
    this.me = inbox.user.username;
    this.textMax = inbox.textMax;
    for (const row of inbox.rooms) {
      const room = this.room(row.id, row.title);
      room.title = row.title;
      room.isSeen ||= row.seen;
      if (!room.wasJoined) room.seq = Math.max(room.seq, row.seq);
      this.#summarise(room, row, askedAt);
    }
    for (const row of inbox.directs) this.#summarise(this.direct(row.user), row, askedAt);
    this.changed();
  }

  #summarise(conversation, row, askedAt) {
    const newest = row.last?.id ?? 0;
    conversation.heardUpTo ||= newest;
    if (row.seen && row.unread === 0) conversation.seenUpTo = Math.max(conversation.seenUpTo, newest);
    // What came live is newer than an answer that was on its way.
    if (conversation.heardAt > askedAt || conversation.gone.has(newest)) return;
    if (!this.isLooking(conversation)) conversation.unread = row.unread;
    conversation.last = row.last && { ...row.last, at: Date.parse(row.last.timestamp), edited: 0 };
  }

  /** A message has come in live, or was caught up with. */
  receive(conversation, message) {
    const isNew = message.id > (conversation.last?.id ?? 0);
    conversation.receive(message, this.me);
    if (conversation !== this.active) conversation.trim();
    if (message.user !== this.me) {
      // What 003 counts it tells itself; what the inbox has counted is not new.
      const counts = isNew && conversation.isRoom && !this.isLooking(conversation);
      if (counts) conversation.unread = Math.min(conversation.unread + 1, MANY);
      if (message.id > conversation.heardUpTo) {
        conversation.heardUpTo = message.id;
        this.dispatchEvent(new CustomEvent("message", { detail: { conversation, message } }));
      }
    }
    this.changed();
  }
}
