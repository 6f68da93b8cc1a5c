// Images on their way into a message: chosen, dropped or pasted, uploaded by 003's route, with progress.

import { byId, h, icon } from "./dom.js";
import { logInAgain } from "./server.js";

/** What the server takes at once, and of one file. */
const MOST = 4;
const LARGEST = 10 * 1024 * 1024;

const REASONS = {
  413: "it is larger than 10 MiB or 50 megapixels, or your files take all the room that they may",
  415: "it is not an image that can be shown",
  429: "too many uploads at once, try again soon",
};

export class Attachments {
  constructor(complain, changed) {
    Object.assign(this, { complain, changed });
    this.files = [];
    this.list = byId("attachments");
    const input = byId("files");
    byId("attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = "";
    });
    byId("text").addEventListener("paste", (event) => {
      const pasted = [...event.clipboardData.files];
      if (pasted.length === 0) return;
      event.preventDefault();
      this.add(pasted);
    });
    this.#takeDrops(byId("conversation"), byId("drop"));
  }

  #takeDrops(area, veil) {
    let depth = 0;
    const isOfFiles = (event) => event.dataTransfer?.types.includes("Files");
    const show = (event, by) => {
      if (!isOfFiles(event)) return;
      event.preventDefault();
      depth = by === 0 ? 0 : depth + by;
      veil.hidden = depth <= 0;
    };
    area.addEventListener("dragenter", (event) => show(event, 1));
    area.addEventListener("dragleave", (event) => show(event, -1));
    // Anywhere else a browser would open the file in place of the page.
    for (const event of ["dragover", "drop"]) addEventListener(event, (drag) => isOfFiles(drag) && drag.preventDefault());
    area.addEventListener("drop", (event) => {
      show(event, 0);
      if (isOfFiles(event)) this.add([...event.dataTransfer.files]);
    });
  }

  /** Those that are uploaded. */
  get ready() {
    return this.files.filter(({ url }) => url);
  }

  get isBusy() {
    return this.files.some(({ url, isFailed }) => !url && !isFailed);
  }

  /** Gives those that are uploaded away, and begins anew. */
  take() {
    const { ready } = this;
    this.clear();
    return ready;
  }

  clear() {
    for (const file of this.files) {
      file.request?.abort();
      URL.revokeObjectURL(file.shown);
    }
    this.enter([]);
  }

  /** Shows another conversation's, which go on meanwhile. */
  enter(files) {
    this.files = files;
    this.#draw();
  }

  get hasFailed() {
    return this.files.some(({ isFailed }) => isFailed);
  }

  add(files) {
    for (const file of files) {
      if (this.files.length >= MOST) return this.complain(`A message carries at most ${MOST} images.`);
      if (!file.type.startsWith("image/")) this.complain(`${file.name} is not an image.`);
      else if (file.size > LARGEST) this.complain(`${file.name} is larger than 10 MiB.`);
      else this.#upload({ file, name: file.name, shown: URL.createObjectURL(file), progress: 0 });
    }
    this.#draw();
  }

  #upload(entry) {
    if (!this.files.includes(entry)) this.files.push(entry);
    Object.assign(entry, { isFailed: false, progress: 0 });
    const body = new FormData();
    body.append("files", entry.file);
    // fetch tells nothing of how far it has come.
    const request = new XMLHttpRequest();
    entry.request = request;
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      entry.progress = total > 0 ? loaded / total : 0;
      if (entry.meter) entry.meter.value = entry.progress;
    });
    request.addEventListener("loadend", () => this.#ended(entry, request));
    request.open("POST", "/api/upload/files");
    request.send(body);
    this.#draw();
  }

  #ended(entry, request) {
    if (entry.isRemoved) return;
    if (request.status === 401) return logInAgain();
    try {
      [entry.url] = JSON.parse(request.responseText).files;
    } catch {
      entry.isFailed = true;
      if (this.files.includes(entry)) this.complain(`${entry.name} was not uploaded: ${REASONS[request.status] ?? "the server did not take it"}.`);
    }
    this.#draw();
  }

  #remove(entry) {
    entry.isRemoved = true;
    this.files.splice(this.files.indexOf(entry), 1);
    entry.request?.abort();
    URL.revokeObjectURL(entry.shown);
    this.complain("");
    this.#draw();
  }

  #draw() {
    this.list.replaceChildren(...this.files.map((entry) => {
      entry.meter = entry.url || entry.isFailed ? null : h("progress", { max: 1, "aria-label": `Uploading ${entry.name}` });
      if (entry.meter) entry.meter.value = entry.progress;
      return h("li", { class: entry.isFailed ? "failed" : entry.url ? "ready" : "" },
        h("img", { src: entry.shown, alt: entry.name }),
        entry.meter,
        entry.isFailed && h("button", { type: "button", class: "plain", onclick: () => this.#upload(entry) }, "Again"),
        h("button", { type: "button", class: "icon remove", "aria-label": `Remove ${entry.name}`, onclick: () => this.#remove(entry) }, icon("close")));
    }));
    this.changed();
  }
}
