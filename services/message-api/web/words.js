// What a text looks like in one line, and whom it names.

/** A preview without Markdown's marks, in one line. */
export function preview(text) {
  return text
    .slice(0, 300)
    .replace(/!\[([^\]]*)\]\([^)]*\)/g, (_, alt) => `🖼 ${alt || "image"}`)
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^[ \t]*(?:>|#{1,6}\s|[-*+]\s|```.*$)/gm, "")
    .replace(/(\*\*|__|~~|`+)/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

/** Does the text say `@name`? */
export function mentions(text, name) {
  const plain = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(^|[^\\w.-])@${plain}(?![\\w-])`, "i").test(text);
}

/** "alice is typing", "alice and bob are typing", "3 people are typing". */
export function typists(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing`;
  return `${names.length} people are typing`;
}
