// One row of the list of messages, as elements.

import { avatar, h, icon } from "./dom.js";
import { render } from "./markdown.js";
import { exactly, timeOf } from "./time.js";
import { mentions, preview } from "./words.js";

export const drawDay = (label) => h("li", { class: "day" }, h("span", {}, label));

export const drawNew = () => h("li", { class: "new" }, h("span", {}, "New"));

const when = (at) => h("time", { datetime: new Date(at).toISOString(), title: exactly(at) }, timeOf(at));

/** A file by its address: an image, else a video or sound, else a link. */
function drawFile(url, label) {
  const link = h("a", { href: url, target: "_blank", rel: "noopener", class: "file" });
  const image = h("img", { src: url, alt: label, loading: "lazy" });
  image.addEventListener("error", () => {
    const video = h("video", { src: url, controls: true, preload: "metadata" });
    // Its controls are no part of a link.
    video.addEventListener("error", () => video.replaceWith(link));
    link.replaceWith(video);
    link.replaceChildren(`📎 ${label}`);
  });
  link.append(image);
  return link;
}

/** The text's elements; an image in it opens in full. */
function drawText(text) {
  const body = h("div", { class: "text", dir: "auto" }, render(text));
  for (const image of body.querySelectorAll("img")) image.replaceWith(drawFile(image.getAttribute("src"), image.alt));
  return body;
}

function drawTicks(conversation, { isRead }) {
  if (conversation.isRoom) return null;
  return h("span", { class: isRead ? "ticks read" : "ticks", role: "img", "aria-label": isRead ? "Read" : "Sent", title: isRead ? "Read" : "Sent" },
    isRead ? "✓✓" : "✓");
}

function drawActions(message, { edit, remove }) {
  const about = preview(message.text).slice(0, 40);
  return h("span", { class: "actions" },
    h("button", { type: "button", class: "icon", "aria-label": `Edit: ${about}`, title: "Edit", onclick: edit }, icon("edit")),
    h("button", { type: "button", class: "icon", "aria-label": `Delete: ${about}`, title: "Delete", onclick: remove }, icon("trash")));
}

/** A stored message. */
export function drawMessage({ message, isMine, isFirst }, conversation, me, actions) {
  const isNamed = !isMine && mentions(message.text, me);
  const classes = ["message", isMine ? "mine" : "theirs", isFirst && "first", isNamed && "named"].filter(Boolean).join(" ");
  return h("li", { class: classes, "data-id": message.id },
    !isMine && isFirst && avatar(message.user),
    h("div", { class: "bubble" },
      isFirst && (isMine ? h("span", { class: "unseen" }, "You") : h("b", { class: "by" }, message.user)),
      drawText(message.text),
      message.media.length > 0 && h("div", { class: "media" }, message.media.map((url) => drawFile(url, "An attached file"))),
      h("footer", {}, message.edited > 0 && h("span", {}, "edited"), when(message.at), isMine && drawTicks(conversation, message))),
    isMine && drawActions(message, actions));
}

/** One that is not known to be stored. */
export function drawPending({ item, isFirst }, conversation, { retry, discard }) {
  const isFailed = item.state === "failed";
  return h("li", { class: `message mine pending${isFirst ? " first" : ""}${isFailed ? " failed" : ""}`, "data-client-id": item.clientId },
    h("div", { class: "bubble" },
      drawText(item.text),
      item.media.length > 0 && h("div", { class: "media" }, item.media.map((url) => drawFile(url, "An attached file"))),
      h("footer", {}, isFailed ? h("span", { class: "why" }, `Not sent. ${item.error ?? ""}`) : h("span", {}, "Sending…")),
      isFailed && h("div", { class: "again" },
        h("button", { type: "button", class: "plain", onclick: retry }, "Try again"),
        h("button", { type: "button", class: "plain", onclick: discard }, "Discard"))));
}
