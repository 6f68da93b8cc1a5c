// A plain WebSocket, as a 001 client uses it.

import { WebSocket } from "ws";

import { Mailbox } from "./mailbox.mjs";
import { within } from "./stack.mjs";

const address = (origin, path) => origin.replace(/^http/, "ws") + path;

/** An open WebSocket; frames are kept under their `type`. */
export class Live extends Mailbox {
  constructor(socket) {
    super();
    this.socket = socket;
    socket.on("message", (data) => {
      const { type, ...frame } = JSON.parse(data);
      this.put(type, frame);
    });
    socket.on("close", (code, reason) => this.put("close", { code, reason: String(reason) }));
  }

  /** Sends an object, or any text or bytes as they are. */
  sends(frame) {
    const raw = typeof frame === "string" || frame instanceof Uint8Array;
    this.socket.send(raw ? frame : JSON.stringify(frame));
  }

  /** Waits for a message by its text. */
  async hears(text) {
    return (await this.next("message", ({ message }) => message.text === text)).message;
  }
}

/** Opens one; `t` is the test that it lives for. */
export const open = async (t, origin, path, headers = {}) => {
  const socket = new WebSocket(address(origin, path), { headers });
  t.after(() => socket.terminate());
  const live = new Live(socket);
  const opened = new Promise((resolve, reject) => {
    socket.on("open", resolve);
    socket.on("error", reject);
  });
  await within(opened, `a WebSocket at ${path}`);
  return live;
};

/** Asks for an upgrade, which must be refused; answers the status and the JSON. */
export const isRefused = async (t, origin, path, headers = {}) => {
  const socket = new WebSocket(address(origin, path), { headers });
  t.after(() => socket.terminate());
  const refused = new Promise((resolve, reject) => {
    socket.on("open", () => reject(new Error("the upgrade was accepted")));
    socket.on("error", reject);
    socket.on("unexpected-response", async (_, response) => {
      const chunks = await response.toArray();
      resolve({ status: response.statusCode, body: JSON.parse(Buffer.concat(chunks)) });
    });
  });
  return within(refused, "a refusal");
};
