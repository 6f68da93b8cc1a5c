// Text as people wrote it, shown as Markdown. HTML in it stays text; what Markdown makes of the rest is
// cleaned by DOMPurify before it becomes elements.

import DOMPurify from "./vendor/purify.es.mjs";
import { Marked } from "./vendor/marked.esm.js";

const escapeHtml = (text) =>
  text.replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]);

/** Only our own files are loaded: an image elsewhere would tell its server who reads. */
const isOurs = (href) => /^\/media\/[\w-]+$/.test(href ?? "");

/** A table of more cells stays text: short rows are filled up, so that 4 kB would become half a million. */
const CELLS_MAX = 1000;

/** What becomes more HTML than this stays text: a link's long address, named once, can be used 500 times. */
const HTML_MAX = 65536;

const isHuge = (source) => {
  const rows = source.split("\n");
  return rows.length * rows[0].split("|").length > CELLS_MAX;
};

const marked = new Marked({
  gfm: true,
  breaks: true,
  // `undefined` says that no table begins here, and `false` lets marked see.
  tokenizer: { table: (source) => (isHuge(source) ? undefined : false) },
  renderer: {
    html: ({ text }) => escapeHtml(text),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    image({ href, text }) {
      const label = escapeHtml(text || "image");
      if (isOurs(href)) return `<img src="${href}" alt="${label}">`;
      return `<a href="${escapeHtml(href)}">${label}</a>`;
    },
  },
});

const ALLOWED = {
  ALLOWED_TAGS: ["p", "br", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "img", "hr",
    "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"],
  ALLOWED_ATTR: ["href", "src", "alt", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|\/media\/)/i,
  RETURN_DOM_FRAGMENT: true,
};

// People's headings are not the page's, and nobody's links lead back here.
const HEADING = /^H[1-6]$/;

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
    // A link to ourselves could do something in the reader's name, like logging out.
    const href = node.getAttribute("href") ?? "";
    const url = URL.canParse(href, location.href) ? new URL(href, location.href) : null;
    if (!url || (url.origin === location.origin && !isOurs(url.pathname))) node.removeAttribute("href");
  } else if (node.nodeName === "IMG") {
    if (!isOurs(node.getAttribute("src"))) node.remove();
  } else if (node.nodeName === "PRE") {
    node.setAttribute("tabindex", "0"); // It may have to be scrolled.
  } else if (HEADING.test(node.nodeName)) {
    node.setAttribute("role", "presentation");
  }
});

/** Marks within marks within marks: nobody means them, and each level costs. */
const DEEP = /^(?:[ \t]*(?:>|[-*+]|\d+[.)])){12,}|(?:[*_~[][^\s*_~[\]]?){200,}/m;

const plain = (text) => {
  const paragraph = document.createElement("p");
  paragraph.className = "raw";
  paragraph.textContent = text;
  return paragraph;
};

/** The elements that a text becomes; exactly the text where it is none that Markdown is meant for. */
export function render(text) {
  if (DEEP.test(text)) return plain(text);
  try {
    const html = marked.parse(text, { async: false });
    return html.length > HTML_MAX ? plain(text) : DOMPurify.sanitize(html, ALLOWED);
  } catch (cause) {
    console.info("shown as it was typed:", cause.message);
    return plain(text);
  }
}
