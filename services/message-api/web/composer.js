// Where messages are written: the text, its emoji and images, and the message that is edited.

import { Attachments } from "./attachments.js";
import { byId, icon } from "./dom.js";
import { EmojiPanel } from "./emoji.js";
import { tab } from "./storage.js";

/** How often the others are told that somebody types, in ms: what they show of it lasts a little longer. */
const TELL = 2_500;

/** Without what Markdown would take for the end of a name. */
const plain = (name) => name.replace(/[[\]()\\!`<>*_~]/g, " ").trim() || "image";

export class Composer {
  constructor(store, outbox, leg, timeline) {
    Object.assign(this, { store, outbox, leg, timeline });
    this.text = byId("text");
    this.problem = byId("problem");
    this.edited = null;
    /** Images that were begun in other conversations. */
    this.begun = new Map();
    this.attachments = new Attachments((sentence) => this.complain(sentence), () => this.draw());
    new EmojiPanel((emoji) => this.#insert(emoji));
    byId("attach").append(icon("attach"));
    byId("send").append(icon("send"));
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.text.addEventListener("input", () => this.#typed());
    this.text.addEventListener("keydown", (event) => this.#key(event));
    byId("editing").querySelector("button").addEventListener("click", () => this.#stopEditing());
  }

  complain(sentence) {
    this.problem.textContent = sentence;
  }

  #keepDraft() {
    const { active } = this.store;
    if (!active || this.edited) return;
    if (this.text.value.trim()) tab.setItem(this.#draftOf(active), this.text.value);
    else tab.removeItem(this.#draftOf(active));
  }

  #draftOf(conversation) {
    return `draft:${this.store.me}:${conversation.key}`;
  }

  /** Leaves the conversation that is shown: what was begun stays with it. */
  leave() {
    const { active } = this.store;
    if (!active) return;
    this.#stopEditing();
    this.#keepDraft();
    this.begun.set(active.key, this.attachments.files);
    this.#typesNoMore(active);
  }

  enter() {
    const { active } = this.store;
    this.text.value = tab.getItem(this.#draftOf(active)) ?? "";
    this.attachments.enter(this.begun.get(active.key) ?? []);
    this.complain("");
    this.#fit();
    this.draw();
    if (matchMedia("(pointer: fine)").matches) this.text.focus();
  }

  /** Changes a message of one's own. */
  edit(message) {
    if (!this.edited) this.kept = this.text.value;
    this.edited = message;
    this.text.value = message.text;
    byId("editing").hidden = false;
    this.#fit();
    this.draw();
    this.text.focus();
  }

  #stopEditing() {
    if (!this.edited) return;
    this.edited = null;
    this.text.value = this.kept;
    byId("editing").hidden = true;
    this.complain("");
    this.#fit();
    this.draw();
  }

  #key(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey && matchMedia("(pointer: fine)").matches) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape") {
      this.#stopEditing();
    } else if (event.key === "ArrowUp" && this.text.value === "" && !this.edited) {
      const { active, me } = this.store;
      const last = active?.messages.findLast(({ user }) => user === me);
      if (last) {
        event.preventDefault();
        this.edit(last);
      }
    }
  }

  #insert(emoji) {
    this.text.setRangeText(emoji, this.text.selectionStart, this.text.selectionEnd, "end");
    this.text.focus();
    this.#typed();
  }

  #typed() {
    const { active } = this.store;
    this.complain("");
    this.#fit();
    this.draw();
    this.#keepDraft();
    if (!active || this.edited) return;
    if (this.text.value.trim() === "") {
      this.#typesNoMore(active);
    } else if (Date.now() - (this.told ?? 0) > TELL) {
      this.told = Date.now();
      this.leg(active).types(active);
    }
  }

  #typesNoMore(conversation) {
    if (this.told) this.leg(conversation).typesNoMore?.(conversation);
    this.told = null;
  }

  #fit() {
    this.text.style.height = "auto";
    this.text.style.height = `${this.text.scrollHeight}px`;
  }

  async #submit() {
    const { active } = this.store;
    const text = this.text.value.trimEnd();
    if (!this.edited && this.attachments.isBusy) return this.complain("An image is still on its way.");
    if (!this.edited && this.attachments.hasFailed) return this.complain("An image was not uploaded: try it again or remove it.");
    if (!active || byId("send").disabled) return;
    if (this.edited) return this.#change(active, text);
    const files = this.attachments.take();
    const [words, media] = active.isRoom ? [this.#withImages(text, files), []] : [text || this.#names(files), files.map(({ url }) => url)];
    this.text.value = "";
    tab.removeItem(this.#draftOf(active));
    this.#fit();
    this.#typesNoMore(active);
    active.newFrom = null;
    this.timeline.isAtEnd = true;
    this.outbox.add(active, words, media);
    this.timeline.toEnd();
  }

  /** Rooms have no files of their own: an image is Markdown there, a link for whoever does not show it. */
  #withImages(text, files) {
    const images = files.map(({ url, name }) => `![${plain(name)}](${url})`);
    return [text, images.join("\n")].filter(Boolean).join("\n\n");
  }

  #names(files) {
    return files.map(({ name }) => plain(name)).join(", ");
  }

  async #change(conversation, text) {
    const message = this.edited;
    if (text === message.text) return this.#stopEditing();
    try {
      await this.leg(conversation).edit(conversation, message.id, text);
      if (this.edited === message) this.#stopEditing();
      this.store.changed();
    } catch (refusal) {
      this.complain(refusal.message);
    }
  }

  draw() {
    const { active, textMax } = this.store;
    const text = this.text.value.trimEnd();
    const files = this.edited ? [] : this.attachments.ready;
    const length = [...(active?.isRoom ? this.#withImages(text, files) : text)].length;
    const isTooLong = length > textMax;
    if (isTooLong) this.complain(`This is too long: ${length} characters, ${textMax} are allowed.`);
    byId("send").disabled = !active || isTooLong || (text.trim() === "" && files.length === 0 && !this.attachments.isBusy);
    this.text.placeholder = active ? `Message ${active.isRoom ? `# ${active.title}` : active.title}` : "Message";
  }
}
