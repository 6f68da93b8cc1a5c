// Rooms: live by 004's events in the shared namespace, history and changes by 001's routes.

import { ask, rest } from "./server.js";

/** Messages in a page. */
const PAGE = 50;

/** Rooms that are followed beside the one that is shown, of those that this user has ever looked at. */
const FOLLOWED = 50;

/** A message from one of 004's events or 001's rows, which name its id differently. */
const fromServer = (row) => ({
  id: Number(row._id ?? row.id), order: row.seq, user: row.user, text: row.text, at: Date.parse(row.timestamp),
  edited: row.edited ? Date.parse(row.edited) : 0, media: row.media ?? [], isRead: false,
});

export class Rooms {
  constructor(socket, store) {
    this.socket = socket;
    this.store = store;
    /** Called when a room can be posted in. */
    this.onJoined = () => {};
    /** Does the server take this socket for who is logged in here? */
    this.isKnown = false;
    socket.on("disconnect", () => {
      this.isKnown = false;
      for (const room of store.rooms) room.isJoined = room.isAnnounced = false;
    });
    const told = (event, hear) => socket.on(event, (payload) => {
      hear(payload);
      store.changed();
    });
    told("message history", (rows) => {
      for (const row of rows) this.#heard(row);
    });
    told("chat message", (row) => this.#heard(row));
    told("message edited", (row) => store.at(`room/${row.room}`)?.edit(fromServer(row)));
    told("message deleted", ({ _id, room }) => this.#deleted(store.at(`room/${room}`), Number(_id)));
    told("room created", ({ _id, name }) => store.room(_id, name));
    told("user left room", ({ roomId, user }) => store.at(`room/${roomId}`)?.typing.delete(user));
    told("typing", (payload) => {
      if (payload?.roomId && payload.user !== store.me) store.at(`room/${payload.roomId}`)?.types(payload.user);
    });
  }

  #heard(row) {
    const room = this.store.at(`room/${row.room}`);
    if (room) this.store.receive(room, fromServer(row));
  }

  async #deleted(room, id) {
    if (!room) return;
    room.remove(id);
    // What was said before it is not here.
    if (!room.last && !room.isLoaded) {
      const page = await this.#page(room, null, 1).catch(() => []);
      if (!room.last && page.length > 0) room.last = page[0];
      this.store.changed();
    }
  }

  /** Joins rooms again and hears what was missed in each: the one that is shown, those that are written to, known ones. */
  async catchUp() {
    const { rooms, active } = this.store;
    const first = rooms.filter((room) => room === active || room.pending.length > 0);
    const wanted = [...new Set([...first, ...rooms.filter(({ isSeen }) => isSeen)])].slice(0, FOLLOWED);
    await Promise.all(wanted.map((room) => this.#join(room)));
  }

  /** The others are told who is in the room that is shown; the rest are only followed. */
  async #join(room) {
    const quiet = room !== this.store.active;
    try {
      await ask(this.socket, "join room", { roomId: room.id, since: room.seq, quiet });
    } catch (refusal) {
      // So long ago that the server won't tell it one by one.
      if (refusal.code === "invalid_payload") await this.#begin(room, quiet);
      else if (refusal.code === "not_found") return this.store.drop(room);
      else throw refusal;
    }
    room.isJoined = room.wasJoined = true;
    room.isAnnounced = !quiet;
    this.onJoined(room);
    if (room === this.store.active) await this.open(room);
  }

  async #begin(room, quiet) {
    room.forget();
    await ask(this.socket, "join room", { roomId: room.id, quiet });
  }

  /** Fetches the newest messages, if they are not here. */
  async open(room) {
    if (!room.isLoaded) {
      const asked = room.ids;
      const page = await this.#page(room);
      room.refresh(page, page.length < PAGE, asked);
      this.store.changed();
    }
    const isToJoin = room === this.store.active ? !room.isAnnounced : !room.isJoined;
    if (isToJoin && this.socket.connected) {
      this.#makePlace(room);
      await this.#join(room);
    }
  }

  /** It is no longer shown. */
  async close(room) {
    if (room.isAnnounced && this.socket.connected) await this.#join(room);
  }

  /** A socket may be in so many rooms: the quietest is left for one that is looked at. */
  #makePlace(room) {
    const others = this.store.rooms.filter((one) => one.isJoined && one !== room && one.pending.length === 0);
    if (others.length < FOLLOWED + 50) return;
    const quietest = others.at(-1);
    quietest.isJoined = false;
    this.socket.emit("leave room", { roomId: quietest.id });
  }

  async older(room) {
    const before = room.oldest?.id;
    const page = await this.#page(room, before);
    if (room.oldest?.id !== before) return; // Something was let go meanwhile: the page would not touch it.
    room.prepend(page, page.length < PAGE);
    this.store.changed();
  }

  async #page(room, before, count = PAGE) {
    const { messages } = await rest("GET", `/api/conversations/${room.id}?N=${count}${before ? `&before=${before}` : ""}`);
    return messages.map(fromServer);
  }

  canSend(room) {
    return this.isKnown && this.socket.connected && room.isJoined;
  }

  async send(room, { text, clientId }) {
    const { message } = await ask(this.socket, "chat message", { roomId: room.id, text, clientId });
    return fromServer(message);
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

  #newestOfOthers(room) {
    return room.messages.findLast(({ user }) => user !== this.store.me)?.id ?? 0;
  }

  hasUnseen(room) {
    return room.isLoaded && (!room.isSeen || room.unread > 0 || this.#newestOfOthers(room) > room.seenUpTo);
  }

  /** Tells that all up to the newest message was seen. */
  async see(room) {
    const id = room.newest?.id ?? null;
    await rest("POST", `/api/inbox/${room.id}/seen`, { id });
    room.isSeen = true;
    room.seenUpTo = Math.max(room.seenUpTo, id ?? 0);
    if ((room.newest?.id ?? null) === id) room.unread = 0;
    this.others?.postMessage({ room: room.id, seenUpTo: room.seenUpTo });
  }

  /** Other tabs of this browser are told what was seen here. */
  tellTabs(channel) {
    this.others = channel;
    channel.addEventListener("message", ({ data }) => {
      const room = this.store.at(`room/${data.room}`);
      if (!room) return;
      room.isSeen = true;
      room.seenUpTo = Math.max(room.seenUpTo, data.seenUpTo);
      if ((room.last?.id ?? 0) <= data.seenUpTo) room.unread = 0;
      this.store.changed();
    });
  }

  async create(name) {
    const { room } = await ask(this.socket, "create room", { name });
    return this.store.room(room._id, room.name);
  }
}
