// One conversation as this page knows it: messages in order, without doubles, and what waits to be sent.
//
// A message is { id, order, user, text, at, edited, media: [url], isRead }, times in ms, `edited` 0 while it never
// was. `order` is what sorts it: a room's `seq`, a direct's id.

/** The most messages that are kept while the newest are looked at. */
export const KEPT = 400;

/** How long somebody who types is shown without typing again, in ms. */
const TYPING = 5_000;

export class Conversation {
  /** `kind` is `room` or `direct`; `id` a room's id or the peer's name. */
  constructor(kind, id, title = id) {
    this.kind = kind;
    this.id = id;
    this.title = title;
    this.key = `${kind}/${id}`;
    /** In order. */
    this.messages = [];
    /** Have the newest messages been fetched, and are there older ones? */
    this.isLoaded = false;
    this.hasOlder = true;
    /** Ids of deleted ones: an answer that was made before must not bring them back. */
    this.gone = new Set();
    /** The newest change that is known: what to catch up from. */
    this.seq = 0;
    this.unread = 0;
    this.last = null;
    /** The first message that was unread when the conversation was opened. */
    this.newFrom = null;
    /** Written here and not known to be stored: { clientId, text, media, at, state, error }. */
    this.pending = [];
    /** Edits of messages that are not here yet: a page that is on its way may be older. */
    this.late = new Map();
    /** The newest message that somebody was told of, and that the server knows as seen: ids. */
    this.heardUpTo = 0;
    this.seenUpTo = 0;
    /** Own messages that came back while one that may be the same is on its way. */
    this.held = [];
    this.typing = new Map();
    this.isJoined = false;
    /** Is this user in the room for the others, or does this page only follow it? */
    this.isAnnounced = false;
    /** Was it followed since the page began? Then what was missed is asked for by `seq`. */
    this.wasJoined = false;
    /** Has this user ever seen it, on any device? */
    this.isSeen = false;
    /** When something live was last heard of it, by `performance.now()`. */
    this.heardAt = 0;
  }

  get isRoom() {
    return this.kind === "room";
  }

  get newest() {
    return this.messages.at(-1) ?? null;
  }

  get oldest() {
    return this.messages[0] ?? null;
  }

  /** When something was last said here, in ms. */
  get activity() {
    return this.last?.at ?? 0;
  }

  find(id) {
    return this.messages.find((message) => message.id === id);
  }

  /** Adds messages, or puts their newer shape in place of the one that is there. */
  merge(messages) {
    for (const message of messages) {
      if (this.isRoom) this.seq = Math.max(this.seq, message.order);
      if (this.gone.has(message.id)) continue;
      const edited = this.late.get(message.id);
      const newer = edited && edited.edited > message.edited ? edited : message;
      if (!this.last || newer.id > this.last.id || (newer.id === this.last.id && newer.edited >= (this.last.edited ?? 0))) this.last = newer;
      this.#put(newer);
    }
  }

  #put(message) {
    let at = this.messages.length;
    while (at > 0 && this.messages[at - 1].order > message.order) at -= 1;
    const same = this.messages[at - 1];
    if (same?.order !== message.order) this.messages.splice(at, 0, message);
    else this.messages[at - 1] = { ...(same.edited > message.edited ? same : message), isRead: same.isRead || message.isRead };
  }

  /**
   * Takes the newest messages as they are on the server. `asked` are the ids that were here when they were
   * asked for: those that lie within or after the page and are not in it are gone.
   */
  refresh(page, isWhole, asked = new Set()) {
    const first = isWhole ? 0 : page[0].order;
    const there = new Set(page.map(({ id }) => id));
    const before = this.messages.findLast(({ id }) => asked.has(id));
    const isFar = !isWhole && (before?.order ?? 0) < first;
    const isFirst = !this.isLoaded || isFar;
    this.messages = this.messages.filter(({ id, order }) => (order < first ? !isFar && asked.has(id) : there.has(id) || !asked.has(id)));
    this.merge(page);
    this.isLoaded = true;
    if (isWhole) this.hasOlder = false;
    else if (isFirst) this.hasOlder = true;
  }

  /** Adds a page of older messages. */
  prepend(page, isLast) {
    this.merge(page);
    this.hasOlder = !isLast;
  }

  /** A message that has come in. One's own may be one that is on its way: then its answer decides. */
  receive(message, me) {
    this.heardAt = performance.now();
    this.typing.delete(message.user);
    if (message.user === me && this.#mayBeUnderWay(message)) this.held.push(message);
    else this.merge([message]);
  }

  /** Is it new here, and was its text sent without an answer so far? */
  #mayBeUnderWay({ id, text }) {
    const isSame = (item) => item.isTried && item.state !== "failed" && item.text === text;
    return !this.find(id) && this.pending.some(isSame);
  }

  /** What was held back is shown: no answer is waited for any more. */
  release() {
    const { held } = this;
    this.held = held.filter((message) => this.#mayBeUnderWay(message));
    this.merge(held.filter((message) => !this.held.includes(message)));
  }

  remove(id) {
    this.heardAt = performance.now();
    this.gone.add(id);
    this.messages = this.messages.filter((message) => message.id !== id);
    this.held = this.held.filter((message) => message.id !== id);
    if (this.last?.id === id) this.last = this.newest;
    this.late.delete(id);
  }

  edit(message) {
    this.heardAt = performance.now();
    if (this.find(message.id)) return this.merge([message]);
    this.late.set(message.id, message);
    if (this.last?.id === message.id) this.last = message;
  }

  read(id) {
    const message = this.find(id);
    if (message) message.isRead = true;
  }

  /** The ids that are here now, for `refresh`. */
  get ids() {
    return new Set(this.messages.map(({ id }) => id));
  }

  /** Forgets what is known: the next look fetches it anew. */
  forget() {
    this.messages = [];
    this.isLoaded = false;
    this.hasOlder = true;
    this.seq = 0;
    this.late.clear();
  }

  /** Keeps memory bounded while the newest are looked at. */
  trim() {
    if (this.messages.length <= KEPT) return;
    this.messages.splice(0, this.messages.length - KEPT);
    this.hasOlder = true;
  }

  types(name, now = Date.now()) {
    this.typing.set(name, now + TYPING);
  }

  typists(now = Date.now()) {
    for (const [name, until] of this.typing) if (until <= now) this.typing.delete(name);
    return [...this.typing.keys()];
  }
}
