// The two sockets, and what is told of them: connecting, online, catching up, reconnecting, offline.

import { io } from "./vendor/socket.io.esm.min.js";

import { logInAgain } from "./server.js";

/** A clock that stood still for this long was asleep, in ms. */
const NAP = 20_000;
const TICK = 5_000;

const OPTIONS = {
  autoConnect: false,
  transports: ["websocket", "polling"],
  tryAllTransports: true,
  reconnectionDelay: 500,
  reconnectionDelayMax: 8_000,
};

export class Connection extends EventTarget {
  constructor() {
    super();
    this.shared = io("/", OPTIONS);
    this.messenger = io("/chat", { ...OPTIONS, path: "/ws" });
    this.state = "connecting";
    this.wasOnline = false;
    this.catchingUp = 0;
    for (const socket of this.#sockets) {
      socket.on("connect", () => this.#look());
      socket.on("connect_error", () => this.#refused(socket));
      socket.on("disconnect", (reason) => this.#ended(socket, reason));
      socket.io.on("reconnect_attempt", () => this.#look());
    }
    // An error that nobody asked for an answer to: the server names it, people can do nothing about it.
    for (const socket of this.#sockets) socket.on("error", (refused) => console.info("refused", refused));
    this.messenger.on("auth-failed", logInAgain);
    addEventListener("online", () => this.#hurry());
    addEventListener("offline", () => this.#look());
    this.#watchForSleep();
  }

  get #sockets() {
    return [this.shared, this.messenger];
  }

  get isOnline() {
    return this.shared.connected && this.messenger.connected;
  }

  start() {
    for (const socket of this.#sockets) socket.connect();
  }

  /** Shows that something is being caught up with until `work` is done. */
  async during(work) {
    this.catchingUp += 1;
    this.#look();
    try {
      return await work();
    } finally {
      this.catchingUp -= 1;
      this.#look();
    }
  }

  #look() {
    if (this.isOnline) this.wasOnline = true;
    const state = !navigator.onLine ? "offline"
      : !this.isOnline ? (this.wasOnline ? "reconnecting" : "connecting")
      : this.catchingUp > 0 ? "catching-up" : "online";
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  async #ended(socket, reason) {
    this.#look();
    // The library comes back by itself unless the server ended it: a session that is over, or a gateway that stops.
    if (reason !== "io server disconnect") return;
    await this.#checkSession();
    setTimeout(() => socket.connect(), 300 + Math.random() * 700);
  }

  /** A connection that could not be made is tried again by the library, one that was refused is not. */
  async #refused(socket) {
    this.#look();
    if (socket.active) return;
    await this.#checkSession();
    setTimeout(() => socket.connect(), 2_000 + Math.random() * 3_000);
  }

  async #checkSession() {
    const response = await fetch("/api/verify").catch(() => null);
    if (response?.status === 401) logInAgain();
  }

  /** What may be dead without knowing it is opened anew. */
  #hurry() {
    for (const socket of this.#sockets) {
      if (socket.connected) socket.io.engine.close();
      else socket.disconnect().connect();
    }
  }

  #watchForSleep() {
    let last = Date.now();
    setInterval(() => {
      const now = Date.now();
      // A hidden page's clock is slowed down, to a minute at most.
      if (now - last > (document.hidden ? 90_000 : NAP + TICK)) this.#hurry();
      last = now;
    }, TICK);
  }
}
