// The official Socket.IO client, as a 004 client uses it.

import assert from "node:assert/strict";

import { io } from "socket.io-client";

import { Mailbox } from "./mailbox.mjs";
import { register } from "./people.mjs";
import { GATEWAY_1, GATEWAY_2, PATIENCE, within } from "./stack.mjs";

/** How times are written. */
export const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const begin = (url, options) =>
  io(url, { transports: ["websocket"], reconnection: false, forceNew: true, ...options });

/** A connected client. Its test disconnects it at the end. */
export class Client extends Mailbox {
  constructor(socket) {
    super();
    this.socket = socket;
    socket.onAny((event, ...bodies) => this.put(event, bodies.length > 1 ? bodies : bodies[0]));
    socket.on("disconnect", (reason) => this.put("disconnect", reason));
  }

  /** Sends an event; answers the acknowledgement, whatever it says. */
  ask(event, ...payload) {
    return this.socket.timeout(PATIENCE).emitWithAck(event, ...payload);
  }

  /** Sends an event that must succeed; answers the acknowledgement. */
  async does(event, payload) {
    const ack = await this.ask(event, payload);
    assert.equal(ack.success, true, `${event}: ${JSON.stringify(ack)}`);
    return ack;
  }

  /** Sends an event that must be refused with this code, in the documented shape. */
  async isRefused(code, event, ...payload) {
    const ack = await this.ask(event, ...payload);
    const { error, ...rest } = ack;
    assert.deepEqual(rest, { success: false, code }, `${event}: ${error}`);
    assert.ok(typeof error === "string" && error.length > 0, "a refusal says what was wrong");
    return error;
  }

  /** Sends an event without a callback. */
  tells(event, ...payload) {
    this.socket.emit(event, ...payload);
  }

  /** Joins a room; answers the history. */
  async joins(roomId, fields = {}) {
    await this.does("join room", { roomId, ...fields });
    return this.next("message history");
  }

  /** Posts in a room; answers the stored message. */
  async says(roomId, text, fields = {}) {
    return (await this.does("chat message", { roomId, text, ...fields })).message;
  }

  /** Waits for a message by its text. */
  hears(text) {
    return this.next("chat message", (message) => message.text === text);
  }

  /** Goes away. */
  leaves() {
    this.socket.disconnect();
  }
}

/** Connects as a person, or as whom `options` say; `t` is the test that it lives for. */
export const connect = async (t, url, person, options = {}) => {
  const socket = begin(url, { ...(person && { auth: { token: person.token } }), ...options });
  t.after(() => socket.disconnect());
  const client = new Client(socket);
  const connected = new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", reject);
  });
  await within(connected, `a connection to ${url}`);
  return client;
};

/** Connects, which must be refused; answers the reason. */
export const isRefused = async (t, url, options) => {
  const socket = begin(url, options);
  t.after(() => socket.disconnect());
  const refused = new Promise((resolve, reject) => {
    socket.on("connect", () => reject(new Error("the connection was accepted")));
    socket.on("connect_error", (error) => resolve(error.message));
  });
  return within(refused, "a refusal");
};

/** Two users in one room: alice `here`, on one gateway, and bob `there`, on the other. */
export const twoInRoom = async (t) => {
  const [alice, bob] = [await register("alice"), await register("bob")];
  const room = await alice.makesRoom();
  const here = await connect(t, GATEWAY_1, alice);
  const there = await connect(t, GATEWAY_2, bob);
  await here.joins(room);
  await there.joins(room);
  return { alice, bob, room, here, there };
};
