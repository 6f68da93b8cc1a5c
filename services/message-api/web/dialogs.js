// What is asked in between: a new room's name, whom to write to, whether to delete.

import { avatar, byId, h } from "./dom.js";

/** How long nothing is typed before people are looked for, in ms. */
const PAUSE = 150;

const open = (dialog) => {
  dialog.querySelector("form").reset();
  dialog.querySelector(".reason")?.replaceChildren();
  dialog.showModal();
};

export class Dialogs {
  constructor(store, rooms, directs, show) {
    Object.assign(this, { store, rooms, directs, show });
    this.room = byId("room-dialog");
    this.direct = byId("direct-dialog");
    this.deletion = byId("delete-dialog");
    for (const dialog of [this.room, this.direct, this.deletion]) {
      dialog.querySelector("[value=cancel]").addEventListener("click", () => dialog.close("cancel"));
    }
    this.room.querySelector("form").addEventListener("submit", (event) => this.#create(event));
    this.direct.querySelector("form").addEventListener("submit", (event) => this.#write(event));
    this.direct.querySelector("input").addEventListener("input", () => {
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.#find(), PAUSE);
    });
  }

  newRoom() {
    open(this.room);
  }

  newDirect() {
    open(this.direct);
    this.#find();
  }

  async #create(event) {
    event.preventDefault();
    try {
      const room = await this.rooms.create(new FormData(event.target).get("name"));
      this.room.close();
      this.show(room);
    } catch (refusal) {
      this.room.querySelector(".reason").textContent = refusal.message;
    }
  }

  async #find() {
    const input = this.direct.querySelector("input");
    const asked = input.value;
    try {
      const people = await this.directs.find(asked);
      if (input.value !== asked) return people;
      this.direct.querySelector(".found").replaceChildren(...people.map(({ username, isOnline }) =>
        h("li", {}, h("button", { type: "button", class: "person", onclick: () => this.#to(username) },
          avatar(username), h("b", {}, username), h("span", { class: "hint" }, isOnline ? "online" : "")))));
      this.direct.querySelector(".reason").textContent = people.length === 0 ? "Nobody here has such a name." : "";
      return people;
    } catch (refusal) {
      this.direct.querySelector(".reason").textContent = refusal.message;
      return [];
    }
  }

  /** Enter takes whoever bears exactly that name, else the first of those found. */
  async #write(event) {
    event.preventDefault();
    clearTimeout(this.soon);
    const asked = this.direct.querySelector("input").value;
    const people = await this.#find();
    if (!this.direct.open || this.direct.querySelector("input").value !== asked) return;
    const exact = people.find(({ username }) => username.toLowerCase() === asked.trim().toLowerCase());
    const chosen = exact ?? people[0];
    if (chosen) this.#to(chosen.username);
  }

  #to(name) {
    this.direct.close();
    this.show(this.store.direct(name));
  }

  /** Resolves to whether the message shall be deleted. */
  mayDelete(text) {
    this.deletion.querySelector("blockquote").textContent = text.slice(0, 300);
    this.deletion.returnValue = "";
    this.deletion.showModal();
    return new Promise((resolve) => {
      this.deletion.addEventListener("close", () => resolve(this.deletion.returnValue === "delete"), { once: true });
    });
  }
}
