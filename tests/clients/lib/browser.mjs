// Browser builds of old socket.io-clients, with as much of a browser around them as they look
// for. The published pages of 000 and 002 load 1.2.0.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { WebSocket } from "ws";

const { resolve } = createRequire(import.meta.url);

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
      // From its headers some clients learn what to ask the body for.
      this.#becomes(2);
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
    this.#becomes(4);
  }

  #becomes(state) {
    this.readyState = state;
    this.onreadystatechange?.();
  }
}

/** The `io` of a build, on a page of this origin. */
export const browserClient = (build) => (origin) => {
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
  const page = new Function(...names, readFileSync(resolve(build), "utf8"));
  // 1.2.0 looks for WebSocket on the `this` of a function, which is the global object.
  const ours = globalThis.WebSocket;
  globalThis.WebSocket = WebSocket;
  try {
    page.apply(window, names.map((name) => window[name]));
  } finally {
    globalThis.WebSocket = ours;
  }
  return window.io;
};
