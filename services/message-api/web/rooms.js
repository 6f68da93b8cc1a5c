// Rooms: live by 004's events in the shared namespace, history and changes by 001's routes.

import { ask, rest } from "./server.js";

/** Messages in a page. */
const PAGE = 50;

/** Rooms that are followed; the server allows 200 a socket. */
const FOLLOWED = 150;

const fromEvent = (row) => ({
  id: Number(row._id), order: row.seq, user: row.user, text: row.text, at: Date.parse(row.timestamp),
  edited: row.edited ? Date.parse(row.edited) : 0, media: [], isRead: false,
});

const fromRow = (row) => ({
  id: Number(row.id), order: row.seq, user: row.user, text: row.text, at: Date.parse(row.timestamp),
  edited: row.edited ? Date.parse(row.edited) : 0, media: row.media ?? [], isRead: false,
});

export class Rooms {
  constructor(socket, store) {
    this.socket = socket;
    this.store = store;
    const told = (event, hear) => socket.on(event, (payload) => {
      hear(payload);
      store.changed();
    });
    told("message history", (rows) => {
      for (const row of rows) this.#heard(row);
    });
    told("chat message", (row) => this.#heard(row));
    told("message edited", (row) => store.at(`room/${row.room}`)?.edit(fromEvent(row)));
    told("message deleted", ({ _id, room }) => store.at(`room/${room}`)?.remove(Number(_id)));
    told("room created", ({ _id, name }) => this.#join(store.room(_id, name)).catch(() => {}));
    told("user left room", ({ roomId, user }) => store.at(`room/${roomId}`)?.typing.delete(user));
    told("typing", (payload) => {
      if (payload?.roomId && payload.user !== store.me) store.at(`room/${payload.roomId}`)?.types(payload.user);
    });
  }

  #heard(row) {
    const room = this.store.at(`room/${row.room}`);
    if (room) this.store.receive(room, fromEvent(row));
  }

  /** Joins all rooms again and hears what was missed in each. */
  async catchUp() {
    const rooms = this.store.rooms.slice(0, FOLLOWED);
    for (const room of rooms) room.isJoined = false;
    await Promise.all(rooms.map((room) => this.#join(room)));
  }

  async #join(room) {
    try {
      await ask(this.socket, "join room", { roomId: room.id, since: room.seq });
    } catch (refusal) {
      // So long ago that the server won't tell it one by one.
      if (refusal.code === "invalid_payload") await this.#begin(room);
      else if (refusal.code === "not_found") return void this.store.conversations.delete(room.key);
      else throw refusal;
    }
    room.isJoined = true;
    if (room === this.store.active) await this.open(room);
  }

  async #begin(room) {
    room.forget();
    await ask(this.socket, "join room", { roomId: room.id });
  }

  /** Fetches the newest messages, if they are not here. */
  async open(room) {
    if (!room.isLoaded) {
      const asked = room.ids;
      const page = await this.#page(room);
      room.refresh(page, page.length < PAGE, asked);
      this.store.changed();
    }
    if (!room.isJoined && this.socket.connected) await this.#join(room);
  }

  async older(room) {
    const page = await this.#page(room, room.oldest?.id);
    room.prepend(page, page.length < PAGE);
    this.store.changed();
  }

  async #page(room, before) {
    const { messages } = await rest("GET", `/api/conversations/${room.id}?N=${PAGE}${before ? `&before=${before}` : ""}`);
    return messages.map(fromRow);
  }

  canSend(room) {
    return this.socket.connected && room.isJoined;
  }

  async send(room, { text, clientId }) {
    const { message } = await ask(this.socket, "chat message", { roomId: room.id, text, clientId });
    return fromEvent(message);
  }

  /** The new shape comes as `message edited`, like everybody else's. */
  async edit(room, id, text) {
    await rest("PATCH", `/api/conversations/${room.id}/${id}`, { text });
  }

  async delete(room, id) {
    await rest("DELETE", `/api/conversations/${room.id}/${id}`);
  }

  types(room) {
    if (this.canSend(room)) this.socket.emit("typing", { roomId: room.id });
  }

  /** Tells that all up to the newest message was seen. */
  async see(room) {
    room.unread = 0;
    if (room.newest) await rest("POST", `/api/inbox/${room.id}/seen`, { id: room.newest.id });
  }

  async create(name) {
    const { room } = await ask(this.socket, "create room", { name });
    return this.store.room(room._id, room.name);
  }
}
