// Direct messages by 003's events on a socket of their own. Who types there, 002 tells on the shared one.

import { KEPT } from "./conversation.js";
import { ask } from "./server.js";

/** Chats in a page. */
const PAGE = 50;

const fromChat = (chat) => ({
  id: Number(chat.id), order: Number(chat.id), user: chat.sender, to: chat.recipient, text: chat.message, at: Date.parse(chat.created_at),
  edited: chat.edited_at ? Date.parse(chat.edited_at) : 0, media: chat.media ?? [], isRead: chat.has_read,
});

export class Directs {
  constructor(socket, shared, store) {
    this.socket = socket;
    this.shared = shared;
    this.store = store;
    /** Does the server take this socket for who is logged in here? */
    this.isKnown = false;
    socket.on("disconnect", () => {
      this.isKnown = false;
    });
    const told = (on, event, hear) => on.on(event, (payload) => {
      hear(payload);
      store.changed();
    });
    told(socket, "chat", ({ chat }) => store.receive(this.#of(chat), fromChat(chat)));
    told(socket, "edit-chat", ({ chat }) => this.#of(chat).edit(fromChat(chat)));
    told(socket, "delete-chat", ({ id }) => this.#deleted(Number(id)));
    told(socket, "read-chat", ({ id, user }) => store.direct(user).read(Number(id)));
    told(socket, "unread-chats-count", ({ user, unreadChatsCount }) => {
      store.direct(user).unread = unreadChatsCount;
    });
    told(shared, "updateUsers", (names) => {
      store.online = new Set(names);
    });
    // With an object they are a room's.
    told(shared, "typing", (name) => typeof name === "string" && this.#typist(name)?.types(name));
    told(shared, "doneTyping", (name) => this.#typist(name)?.typing.delete(name));
  }

  hasUnseen(direct) {
    return direct.unread > 0;
  }

  #of(chat) {
    return this.store.direct(chat.sender === this.store.me ? chat.recipient : chat.sender);
  }

  /** The event does not say where. */
  #deleted(id) {
    for (const direct of this.store.conversations.values()) {
      if (direct.isRoom || (direct.last?.id !== id && !direct.find(id))) continue;
      direct.remove(id);
      // What was said before it is not here.
      if (!direct.last && !direct.isLoaded) this.#fetchLast(direct);
    }
  }

  async #fetchLast(direct) {
    const [last] = await this.#page(direct, { limit: 1 }).catch(() => []);
    direct.last ??= last ?? null;
    this.store.changed();
  }

  #typist(name) {
    return this.store.at(`direct/${name}`);
  }

  /** Fetches again what is here, since this socket may have missed something. */
  async catchUp() {
    const known = [...this.store.conversations.values()].filter((one) => !one.isRoom && one.isLoaded);
    for (const direct of known) if (direct !== this.store.active) direct.forget();
    const { active } = this.store;
    if (active && !active.isRoom) await this.#fetch(active);
  }

  /** Opens 002's channel: both who have it open hear each other type. */
  listen(direct) {
    if (this.shared.connected) this.shared.emit("chatHistory", { user: direct.id, offset: 0 });
  }

  async open(direct) {
    this.listen(direct);
    if (!direct.isLoaded) await this.#fetch(direct);
  }

  async #fetch(direct) {
    const asked = direct.ids;
    const page = await this.#page(direct, {});
    direct.refresh(page, page.length < PAGE, asked);
    this.#name(direct, page[0]);
    this.store.changed();
  }

  /** Names have one spelling, in whatever letter case they are asked for. */
  #name(direct, chat) {
    const name = chat && (chat.user === this.store.me ? chat.to : chat.user);
    if (!name || name === direct.id) return;
    this.store.dispatchEvent(new CustomEvent("rename", { detail: { from: direct, to: this.store.direct(name) } }));
    this.store.drop(direct);
  }

  async older(direct) {
    const before = direct.oldest?.id;
    const page = await this.#page(direct, { before });
    if (direct.oldest?.id !== before) return; // Something was let go meanwhile: the page would not touch it.
    direct.prepend(page, page.length < PAGE);
    this.store.changed();
  }

  async #page(direct, more) {
    const { chats } = await ask(this.socket, "fetch-conversation-with-user", { user: direct.id, limit: PAGE, ...more });
    return chats.map(fromChat).reverse();
  }

  canSend() {
    return this.isKnown && this.socket.connected;
  }

  async send(direct, { text, media, clientId }) {
    const { chat } = await ask(this.socket, "send-message", { user: direct.id, message: text, media, clientId });
    return fromChat(chat);
  }

  async edit(direct, id, text) {
    const { chat } = await ask(this.socket, "edit-chat", { id, message: text });
    direct.edit(fromChat(chat));
  }

  async delete(_, id) {
    await ask(this.socket, "delete-chat", { id });
  }

  types() {
    if (this.shared.connected) this.shared.emit("typing", {});
  }

  typesNoMore() {
    if (this.shared.connected) this.shared.emit("doneTyping", {});
  }

  /** Tells that all of it was read, as far back as is unread. The server answers with the new count. */
  async see(direct) {
    const unread = () => direct.messages.filter((one) => one.user === direct.id && !one.isRead);
    while (unread().length < direct.unread && direct.hasOlder && direct.isLoaded && direct.messages.length < KEPT) {
      await this.older(direct);
    }
    const found = unread();
    if (found.length === 0) direct.unread = 0; // Nothing that could be read is here.
    for (const { id } of found) {
      await ask(this.socket, "read-chat", { id });
      direct.read(id);
    }
  }

  /** People whose names hold what was typed, those who are online first. */
  async find(part) {
    const wanted = part.trim();
    const first = await ask(this.socket, "fetch-users", {});
    const rows = [...first.users];
    // Beyond the first page only by how a name begins: from there the server's order goes on.
    if (first.next && /^[\w.-]{3,32}$/.test(wanted)) {
      rows.push(...(await ask(this.socket, "fetch-users", { after: wanted.slice(0, -1), limit: 1_000 })).users);
    }
    const named = new Map(rows.map((user) => [user.username, user]));
    return [...named.values()]
      .filter(({ username }) => username.toLowerCase().includes(wanted.toLowerCase()))
      .sort((a, b) => Number(b.isOnline) - Number(a.isOnline) || a.username.localeCompare(b.username))
      .slice(0, 20);
  }
}
