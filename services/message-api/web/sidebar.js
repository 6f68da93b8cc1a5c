// The list of conversations: rooms, directs, who is online.

import { avatar, byId, h, icon, reconcile } from "./dom.js";
import { MANY } from "./store.js";
import { shortly } from "./time.js";
import { preview } from "./words.js";

/** People in the list who are only online. */
const PEOPLE = 100;

const link = ({ isRoom, id }) => `#/${isRoom ? "room" : "direct"}/${encodeURIComponent(id)}`;

const badge = (unread) =>
  unread > 0 && h("span", { class: "badge" }, unread >= MANY ? "99+" : String(unread), h("span", { class: "unseen" }, " unread"));

const face = (name, isOnline) =>
  h("span", { class: "face" }, avatar(name), isOnline && h("span", { class: "dot", title: "online" }, h("span", { class: "unseen" }, "online")));

export class Sidebar {
  constructor(store, dialogs) {
    this.store = store;
    byId("new-room").append(icon("plus"));
    byId("new-direct").append(icon("plus"));
    byId("logout").append(icon("leave"));
    byId("new-room").addEventListener("click", () => dialogs.newRoom());
    byId("new-direct").addEventListener("click", () => dialogs.newDirect());
    this.filter = byId("filter");
    this.filter.addEventListener("input", () => this.draw());
    this.filter.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return;
      event.preventDefault();
      location.hash = "#/";
      document.documentElement.dataset.pane = "list";
      this.filter.select();
      this.filter.focus();
    });
  }

  #key(event) {
    if (event.key === "Escape") {
      this.filter.value = "";
      this.draw();
    } else if (event.key === "Enter" && this.filter.value.trim() !== "") {
      document.querySelector("#lists a")?.click();
      this.filter.value = "";
      this.draw();
    }
  }

  draw() {
    const { store } = this;
    const part = this.filter.value.trim().toLowerCase();
    const isWanted = ({ title }) => title.toLowerCase().includes(part);
    byId("me").replaceChildren(face(store.me, true), h("b", {}, store.me));
    reconcile(byId("rooms"), store.rooms.filter(isWanted).map((room) => this.#row(room)));
    const directs = store.directs.filter(isWanted);
    reconcile(byId("directs"), directs.map((direct) => this.#row(direct)));
    const known = new Set([store.me, ...store.directs.map(({ id }) => id)]);
    const people = [...store.online].filter((name) => !known.has(name) && name.toLowerCase().includes(part));
    reconcile(byId("people"), people.slice(0, PEOPLE).map((name) => ({
      key: name, version: "", make: () => h("li", {}, h("a", { href: link({ id: name }) }, face(name, true), h("span", { class: "what" }, h("b", {}, name)))),
    })));
    byId("people-count").textContent = store.online.size > 0 ? String(store.online.size) : "";
    byId("directs").parentElement.classList.toggle("empty", directs.length === 0);
  }

  #row(conversation) {
    const { title, isRoom, last, unread, id } = conversation;
    const isOnline = !isRoom && this.store.online.has(id);
    const isActive = conversation === this.store.active;
    const who = last && (last.user === this.store.me ? "You: " : isRoom ? `${last.user}: ` : "");
    const line = last ? who + preview(last.text) : isRoom ? "Nothing was said yet" : "";
    const when = last ? shortly(last.at) : "";
    const version = JSON.stringify([title, isOnline, isActive, unread, line, when]);
    const make = () => h("li", {},
      h("a", { href: link(conversation), "aria-current": isActive && "page", class: unread > 0 && "unread" },
        isRoom ? h("span", { class: "hash", "aria-hidden": "true" }, "#") : face(title, isOnline),
        h("span", { class: "what" }, h("b", { dir: "auto" }, title), h("span", { class: "last", dir: "auto" }, line)),
        h("span", { class: "side" }, h("time", {}, when), badge(unread))));
    return { key: conversation.key, version, make };
  }
}
