// The browser build of socket.io-client 1.2.0, as the published pages of 000 and 002 load it,
// with as much of a browser around it as it looks for.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { WebSocket } from "ws";

const BUILD = createRequire(import.meta.url).resolve("socket.io-client-1.2/socket.io.js");

/** XMLHttpRequest Level 2, in what a Socket.IO client uses of it. */
class XMLHttpRequest {
  #abort = new AbortController();
  #headers = {};
  #method;
  #url;
  #answer;

  readyState = 0;
  status = 0;
  responseType = "";
  response = null;
  responseText = "";
  withCredentials = false;
  onreadystatechange = null;

  open(method, url) {
    this.#method = method;
    this.#url = url;
    this.readyState = 1;
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  getResponseHeader(name) {
    return this.#answer?.headers.get(name) ?? null;
  }

  abort() {
    this.#abort.abort();
  }

  send(body) {
    this.#exchange(body ?? undefined).catch(() => {});
  }

  async #exchange(body) {
    const { signal } = this.#abort;
    try {
      const request = { method: this.#method, headers: this.#headers, body, signal };
      this.#answer = await fetch(this.#url, request);
      const bytes = await this.#answer.arrayBuffer();
      this.status = this.#answer.status;
      if (this.responseType === "arraybuffer") {
        this.response = bytes;
      } else {
        this.responseText = this.response = new TextDecoder().decode(bytes);
      }
    } catch {
      if (signal.aborted) return;
      this.status = 0;
    }
    this.readyState = 4;
    this.onreadystatechange?.();
  }
}

/** Its `io`, on a page of this origin. */
export const browserClient = (origin) => {
  const { protocol, hostname, port } = new URL(origin);
  const window = {
    ArrayBuffer,
    Blob,
    WebSocket,
    XMLHttpRequest,
    location: { protocol, hostname, port },
    navigator: { userAgent: "Mozilla/5.0" },
  };
  window.self = window.window = window;
  // No `module`, `exports` or `define`: a page has none, so the build puts `io` on the window.
  const names = ["module", "exports", "define", "global", "document", ...Object.keys(window)];
  const page = new Function(...names, readFileSync(BUILD, "utf8"));
  // It looks for WebSocket on `this`, which outside of strict mode is the global object.
  const ours = globalThis.WebSocket;
  globalThis.WebSocket = WebSocket;
  try {
    page(...names.map((name) => window[name]));
  } finally {
    globalThis.WebSocket = ours;
  }
  return window.io;
};
