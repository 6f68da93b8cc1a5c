// Outside the page: how much is unread in its title, and desktop notifications where they are allowed.

import { byId, icon } from "./dom.js";
import { device } from "./storage.js";
import { MANY } from "./store.js";
import { mentions, preview } from "./words.js";

const PLACE = "notifications";

export class Notices {
  constructor(store, show) {
    this.store = store;
    this.show = show;
    this.button = byId("notify");
    this.isWanted = device.getItem(PLACE) === "on";
    this.button.hidden = !("Notification" in window);
    this.button.addEventListener("click", () => this.#toggle());
    store.addEventListener("message", ({ detail }) => this.#tell(detail));
    this.#drawButton();
  }

  get isOn() {
    return this.isWanted && "Notification" in window && Notification.permission === "granted";
  }

  async #toggle() {
    this.isWanted = !this.isOn && (await Notification.requestPermission()) === "granted";
    device.setItem(PLACE, this.isWanted ? "on" : "off");
    this.#drawButton();
  }

  #drawButton() {
    const label = this.isOn ? "Desktop notifications are on: turn off" : "Desktop notifications are off: turn on";
    this.button.replaceChildren(icon(this.isOn ? "bell" : "belloff"));
    this.button.title = label;
    this.button.setAttribute("aria-label", label);
  }

  /** Directs, and what names one in a room. */
  #tell({ conversation, message }) {
    const isForMe = !conversation.isRoom || mentions(message.text, this.store.me);
    if (!this.isOn || !isForMe || this.store.isLooking(conversation)) return;
    const where = conversation.isRoom ? `${message.user} in ${conversation.title}` : message.user;
    let notice;
    try {
      notice = new Notification(where, { body: preview(message.text).slice(0, 140), tag: conversation.key, renotify: true });
    } catch {
      return; // A browser that shows them only for a service worker.
    }
    notice.addEventListener("click", () => {
      window.focus();
      this.show(conversation);
      notice.close();
    });
  }

  draw() {
    const { unread } = this.store;
    const title = this.store.active ? `${this.store.active.title} · Switchboard` : "Switchboard";
    document.title = unread === 0 ? title : `(${unread >= MANY ? "99+" : unread}) ${title}`;
  }
}
