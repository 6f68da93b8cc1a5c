// Above the messages: what is shown, who is there, and how the connection is.

import { byId, icon } from "./dom.js";

const WORDS = {
  connecting: "Connecting…",
  online: "",
  "catching-up": "Catching up…",
  reconnecting: "The connection is lost. Reconnecting… What you write is kept and sent then.",
  offline: "You are offline. What you write is kept and sent when you are back.",
};

/** Shorter than this nobody needs to know of it, in ms. */
const BRIEF = 400;

export class Head {
  constructor(store, connection) {
    this.store = store;
    this.connection = connection;
    this.line = byId("connection");
    this.complaint = "";
    byId("back").append(icon("back"));
    byId("back").addEventListener("click", () => {
      location.hash = "#/";
    });
  }

  /** Something could not be fetched. It is shown until the connection changes. */
  complain(sentence) {
    this.complaint = sentence;
    this.draw();
  }

  draw() {
    const { active, online, me } = this.store;
    if (active) {
      byId("title").textContent = active.isRoom ? `# ${active.title}` : active.title;
      const isHere = online.has(active.id) || active.id === me;
      byId("subtitle").textContent = active.isRoom ? `${online.size} online` : isHere ? "online" : "offline";
      byId("subtitle").classList.toggle("is-online", !active.isRoom && isHere);
    }
    this.#drawConnection(this.connection.state);
  }

  #drawConnection(state) {
    if (state === this.line.dataset.state && this.complaint === this.shown) return;
    if (state !== this.line.dataset.state && state !== "catching-up") this.complaint = "";
    this.line.dataset.state = state;
    this.shown = this.complaint;
    clearTimeout(this.later);
    const draw = () => {
      this.line.textContent = WORDS[state] || this.complaint;
    };
    if (state === "catching-up") this.later = setTimeout(draw, BRIEF);
    else draw();
  }
}
