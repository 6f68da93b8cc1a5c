// Socket.IO clients of any age, behind one face.

import { createRequire } from "node:module";

import { browserClient } from "./browser.mjs";
import { Mailbox } from "./mailbox.mjs";
import { within } from "./stack.mjs";

const require = createRequire(import.meta.url);

// Clients before 3.x have no `onAny`.
const EVENTS = [
  "broadcast:message",
  "chat message",
  "error",
  "message history",
  "typing",
  "user joined room",
];

// Before 3.x there is no `auth` either: a token goes into the query.
const inQuery = (token) => (token ? { query: `token=${token}` } : {});
const inAuth = (token) => (token ? { auth: { token } } : {});

/** What can be connected with, by name. `carries` makes options of a token. */
export const CLIENTS = {
  "socket.io-client 1.2.0 in a browser": { io: browserClient, carries: inQuery },
  "socket.io-client 1.7.4": { io: () => require("socket.io-client-1"), carries: inQuery },
  "socket.io-client 2.5.0": { io: () => require("socket.io-client-2"), carries: inQuery },
  "socket.io-client 3.1.3": { io: () => require("socket.io-client-3").io, carries: inAuth },
  "socket.io-client 4.x": { io: () => require("socket.io-client").io, carries: inAuth },
};

/** How each of them may travel. */
export const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  "polling, then websocket": ["polling", "websocket"],
};

/** A connected client of some age. */
class Foreign extends Mailbox {
  constructor(socket) {
    super();
    this.socket = socket;
    for (const event of EVENTS) {
      socket.on(event, (body) => this.put(event, body));
    }
    socket.on("disconnect", (reason) => this.put("disconnect", reason));
  }

  /** Sends an event; answers the acknowledgement. */
  ask(event, payload) {
    const acknowledged = new Promise((resolve) => this.socket.emit(event, payload, resolve));
    return within(acknowledged, `the acknowledgement of ${event}`);
  }

  /** Sends an event without a callback. */
  tells(event, payload) {
    this.socket.emit(event, payload);
  }
}

/** Connects such a client straight to a gateway: it keeps no cookies that a front could follow. */
export const arrive = async (t, kind, transports, url, token) => {
  const { io, carries } = CLIENTS[kind];
  const socket = io(url)(url, {
    transports: [...transports],
    reconnection: false,
    forceNew: true,
    ...carries(token),
  });
  t.after(() => socket.disconnect());
  const client = new Foreign(socket);
  const connected = new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", (cause) => reject(cause ?? new Error("refused")));
  });
  await within(connected, `${kind} to connect`);
  return client;
};

/** By what a client travels now. */
export const transportOf = (client) => client.socket.io.engine.transport.name;
