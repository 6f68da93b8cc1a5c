// Light, dark, or as the system says; remembered on this device.

import { byId, icon } from "./dom.js";
import { device } from "./storage.js";

const CHOICES = [
  ["auto", "Colours as the system says", "auto"],
  ["light", "Light colours", "sun"],
  ["dark", "Dark colours", "moon"],
];

export class Theme {
  constructor() {
    this.button = byId("theme");
    this.#set(device.getItem("theme") ?? "auto");
    this.button.addEventListener("click", () => {
      const at = CHOICES.findIndex(([name]) => name === this.choice);
      this.#set(CHOICES[(at + 1) % CHOICES.length][0]);
      device.setItem("theme", this.choice);
    });
  }

  #set(wanted) {
    const [choice, label, drawing] = CHOICES.find(([name]) => name === wanted) ?? CHOICES[0];
    this.choice = choice;
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    this.button.replaceChildren(icon(drawing));
    this.button.title = label;
    this.button.setAttribute("aria-label", `${label}: change`);
  }
}
