// The messages of the conversation that is shown, and the place in them that somebody looks at.

import { byId, reconcile } from "./dom.js";
import { drawDay, drawMessage, drawNew, drawPending } from "./message.js";
import { firstUnread, rowsOf } from "./rows.js";
import { preview } from "./words.js";

/** Nearer to the end than this is at the end; nearer to the beginning older messages are fetched. In px. */
const END = 60;
const BEGINNING = 600;

export class Timeline {
  constructor(store, outbox, leg, actions) {
    Object.assign(this, { store, outbox, leg, actions });
    this.list = byId("timeline");
    this.scroller = byId("scroller");
    this.newer = byId("newer");
    this.older = byId("older");
    this.isAtEnd = true;
    this.seenAt = 0;
    this.missed = 0;
    this.onEnd = () => {};
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.newer.addEventListener("click", () => this.toEnd());
    // Images come late, and keyboards take room.
    const resized = new ResizeObserver(() => {
      this.#noteUntold();
      this.#keepPlace();
    });
    resized.observe(this.list);
    resized.observe(this.scroller);
    store.addEventListener("message", ({ detail }) => this.#heard(detail));
  }

  /** On a phone the list of conversations may stand in its place. */
  get isInSight() {
    return this.scroller.checkVisibility();
  }

  /** Another conversation is shown. */
  enter() {
    this.unreadAtEntry = this.store.active.unread;
    this.missed = 0;
    this.isAtEnd = true;
    this.anchor = null;
    this.list.replaceChildren();
    this.seenAt = this.scroller.scrollTop;
  }

  toEnd() {
    this.isAtEnd = true;
    this.missed = 0;
    this.#keepPlace();
    this.#drawNewer();
    this.onEnd();
  }

  #heard({ conversation, message }) {
    if (conversation !== this.store.active) return;
    byId("heard").textContent = `${message.user}: ${preview(message.text)}`;
    if (!this.isAtEnd) this.missed += 1;
    if (!this.store.isLooking(conversation)) conversation.newFrom ??= message.id;
  }

  #scrolled() {
    this.#notePlace();
    if (this.isAtEnd && this.missed > 0) this.missed = 0;
    if (this.isAtEnd) this.onEnd();
    this.#drawNewer();
    this.#fetchOlder();
  }

  #notePlace() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.isAtEnd = scrollHeight - scrollTop - clientHeight < END;
    this.seenAt = scrollTop;
    this.#noteAnchor();
  }

  /** Has somebody scrolled whose event is still on its way? What is drawn now must not take them back. */
  #noteUntold() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    // By itself it only moves when there is less to scroll.
    const place = Math.min(this.seenAt, scrollHeight - clientHeight);
    if (Math.abs(scrollTop - place) > 1) this.#notePlace();
  }

  /** Remembers the first row in sight, and where it stands. */
  #noteAnchor() {
    const top = this.scroller.scrollTop;
    // Days and marks may go when what is before them comes; messages stay.
    for (const row of this.list.querySelectorAll(".message")) {
      if (row.offsetTop + row.offsetHeight > top) {
        this.anchor = { key: row.dataset.key, offset: row.offsetTop - top };
        return;
      }
    }
    this.anchor = null;
  }

  /** Whatever was added or grew: the end stays in sight, or else the row that was. */
  #keepPlace() {
    const { scroller } = this;
    const row = this.anchor && this.list.querySelector(`[data-key="${CSS.escape(this.anchor.key)}"]`);
    if (this.isAtEnd) scroller.scrollTop = scroller.scrollHeight;
    else if (row) scroller.scrollTop = row.offsetTop - this.anchor.offset;
    this.seenAt = scroller.scrollTop;
  }

  async #fetchOlder() {
    const { active } = this.store;
    if (!active?.isLoaded || !active.hasOlder || this.isFetching || !active.oldest) return;
    if (this.scroller.scrollTop > BEGINNING || !this.isInSight) return;
    this.isFetching = true;
    this.older.hidden = false;
    try {
      await this.leg(active).older(active);
    } catch {
      // The next time somebody scrolls it is tried again.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    } finally {
      this.isFetching = false;
      this.older.hidden = true;
    }
    // Nobody scrolls at the very beginning: is more wanted still?
    if (this.store.active === active) requestAnimationFrame(() => this.#fetchOlder());
  }

  draw() {
    const { active, me } = this.store;
    if (!active) return this.list.replaceChildren();
    this.#noteUntold();
    if (active.isLoaded && this.unreadAtEntry > 0) {
      active.newFrom = firstUnread(active.messages, me, this.unreadAtEntry);
      this.unreadAtEntry = 0;
    }
    const isIdle = this.isAtEnd && active.messages.length > 0 && !this.isFetching;
    if (isIdle && this.scroller.scrollTop > BEGINNING) active.trim();
    reconcile(this.list, rowsOf(active, me).map((row) => this.#element(row, active)));
    this.list.classList.toggle("is-empty", active.isLoaded && this.list.children.length === 0);
    this.#keepPlace();
    this.#drawNewer();
    this.#fetchOlder();
  }

  #element(row, conversation) {
    const { key } = row;
    if (row.type === "day") return { key, version: row.label, make: () => drawDay(row.label) };
    if (row.type === "new") return { key, version: "", make: drawNew };
    if (row.type === "pending") {
      const { item } = row;
      const actions = {
        retry: () => this.outbox.retry(conversation, item.clientId),
        discard: () => this.outbox.discard(conversation, item.clientId),
      };
      const version = JSON.stringify([item.state, row.isFirst, item.error]);
      return { key, version, make: () => drawPending(row, conversation, actions) };
    }
    const { message } = row;
    const actions = {
      edit: () => this.actions.edit(message),
      remove: () => this.#remove(conversation, message),
    };
    const version = JSON.stringify([message.text, message.edited, message.isRead, message.media, row.isFirst]);
    return { key, version, make: () => drawMessage(row, conversation, this.store.me, actions) };
  }

  async #remove(conversation, message) {
    if (!(await this.actions.remove(message.text))) return;
    try {
      await this.leg(conversation).delete(conversation, message.id);
      conversation.remove(message.id);
    } catch (refusal) {
      if (refusal.code === "not_found") conversation.remove(message.id);
      else this.actions.complain(refusal.message);
    }
    this.store.changed();
    byId("text").focus();
  }

  #drawNewer() {
    this.newer.hidden = this.isAtEnd;
    const count = this.missed === 1 ? "1 new message" : `${this.missed} new messages`;
    this.newer.textContent = this.missed > 0 ? `${count} ↓` : "To the newest ↓";
  }
}
