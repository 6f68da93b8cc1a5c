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

  /** What is shown could not be fetched, and why; an empty sentence: it could. */
  complain(sentence) {
    this.complaint = sentence;
    this.about = this.store.active;
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
    const complaint = this.about === this.store.active ? this.complaint : "";
    const words = complaint || WORDS[state];
    if (state === this.line.dataset.state && words === this.words) return;
    this.line.dataset.state = state;
    this.words = words;
    clearTimeout(this.later);
    const draw = () => {
      this.line.textContent = words;
    };
    if (state === "catching-up" && !complaint) this.later = setTimeout(draw, BRIEF);
    else draw();
  }
}
