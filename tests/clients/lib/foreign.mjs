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
  "chatHistory",
  "chatMessage",
  "error",
  "message history",
  "storeUsername",
  "typing",
  "updateUsers",
  "user joined room",
];

// Before 3.x there is no `auth` either: a token goes into the query.
const inQuery = (token) => (token ? { query: `token=${token}` } : {});
const inAuth = (token) => (token ? { auth: { token } } : {});

/** What can be connected with, by name. `carries` makes options of a token. */
export const CLIENTS = {
  "socket.io-client 1.2.0 in a browser": {
    io: browserClient("socket.io-client-1.2/socket.io.js"),
    carries: inQuery,
  },
  "socket.io-client 1.7.4": { io: () => require("socket.io-client-1"), carries: inQuery },
  "socket.io-client 1.7.4 in a browser": {
    io: browserClient("socket.io-client-1/dist/socket.io.js"),
    carries: inQuery,
  },
  "socket.io-client 2.5.0": { io: () => require("socket.io-client-2"), carries: inQuery },
  "socket.io-client 2.5.0 in a browser": {
    io: browserClient("socket.io-client-2/dist/socket.io.js"),
    carries: inQuery,
  },
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

// Straight to a gateway: these clients keep no cookies that a front could follow.
const begin = (t, kind, transports, url, token) => {
  const { io, carries } = CLIENTS[kind];
  const socket = io(url)(url, {
    transports: [...transports],
    reconnection: false,
    forceNew: true,
    ...carries(token),
  });
  t.after(() => socket.disconnect());
  return socket;
};

/** Connects such a client. */
export const arrive = async (t, kind, transports, url, token) => {
  const socket = begin(t, kind, transports, url, token);
  const client = new Foreign(socket);
  const connected = new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", (cause) => reject(cause ?? new Error("refused")));
  });
  await within(connected, `${kind} to connect`);
  return client;
};

/** Connects such a client, which must be refused; answers the sentence. */
export const isTurnedAway = async (t, kind, transports, url, token) => {
  const socket = begin(t, kind, transports, url, token);
  const refused = new Promise((resolve) => {
    // Before 3.x a refusal is an `error`, and a string.
    for (const event of ["error", "connect_error"]) {
      socket.on(event, (cause) => resolve(cause?.message ?? cause));
    }
  });
  return within(refused, `${kind} to be refused`);
};

/** By what a client travels now. */
export const transportOf = (client) => client.socket.io.engine.transport.name;
