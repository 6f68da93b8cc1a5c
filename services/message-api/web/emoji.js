// A panel of emoji to pick from.

import { byId, h, icon } from "./dom.js";

const EMOJI = [
  ..."😀😂🤣😊😍😘😎🤩🥳🤔🤨😐🙄😴😢😭😡🤯😱🥺🤗🤫🤐🤒🤠👋👍👎👌🤝👏🙏💪🙌👀💯🔥✨🎉🎁🏆🚀💡📌📷🎵☕🍕🍺🍰🌞🌧🌈🌱🌍🐱🐶🦊🐢🐝💔✅❌❓❗",
  "❤️", "⚠️",
];

export class EmojiPanel {
  constructor(picked) {
    this.button = byId("emoji");
    this.panel = byId("emojis");
    this.button.append(icon("emoji"));
    this.button.addEventListener("click", () => this.#show(this.panel.hidden));
    this.panel.addEventListener("click", ({ target }) => {
      if (target.tagName === "BUTTON") picked(target.textContent);
    });
    this.panel.addEventListener("keydown", (event) => this.#key(event));
    byId("composer").addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.panel.hidden) this.#show(false);
    });
    addEventListener("pointerdown", ({ target }) => {
      if (!this.panel.contains(target) && !this.button.contains(target)) this.#show(false);
    });
  }

  #show(isShown) {
    if (isShown && this.panel.children.length === 0) {
      this.panel.append(...EMOJI.map((emoji, at) => h("button", { type: "button", tabindex: at === 0 ? "0" : "-1" }, emoji)));
    }
    this.panel.hidden = !isShown;
    this.button.setAttribute("aria-expanded", String(isShown));
    if (isShown) this.panel.firstElementChild.focus();
  }

  /** Arrows move within the panel, Escape closes it. */
  #key(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.#columns(), ArrowUp: -this.#columns() };
    if (event.key === "Escape") {
      this.#show(false);
      this.button.focus();
    } else if (event.key in steps) {
      event.preventDefault();
      const all = [...this.panel.children];
      const at = all.indexOf(document.activeElement) + steps[event.key];
      all[Math.max(0, Math.min(all.length - 1, at))].focus();
    }
  }

  #columns() {
    return getComputedStyle(this.panel).gridTemplateColumns.split(" ").length;
  }
}
