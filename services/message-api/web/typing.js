// Who is typing in the conversation that is shown. It ends by itself.

import { byId } from "./dom.js";
import { typists } from "./words.js";

/** How often it is looked whether somebody has stopped, in ms. */
const LOOK = 500;

export class TypingLine {
  constructor(store) {
    this.store = store;
    this.line = byId("typing");
  }

  draw() {
    clearTimeout(this.next);
    const names = this.store.active?.typists() ?? [];
    const words = typists(names);
    if (this.line.textContent !== words) this.line.textContent = words;
    if (names.length > 0) this.next = setTimeout(() => this.draw(), LOOK);
  }
}
