// What stands in the list of messages: days, messages in groups, where the new ones begin, what is unsent.

import { dayName, dayOf } from "./time.js";

/** Messages of one person within this time stand together, in ms. */
const TOGETHER = 5 * 60 * 1000;

/** The rows of a conversation, in order: { type: "day" | "new" | "message" | "pending", key, … }. */
export function rowsOf(conversation, me, now = Date.now()) {
  const rows = [];
  let [day, before] = [null, null];
  const separate = (at, first) => {
    if (dayOf(at) === day) return;
    day = dayOf(at);
    before = null;
    rows.push({ type: "day", key: `day-${first}`, label: dayName(at, now) });
  };
  const isFirst = (user, at) => before?.user !== user || at - before.at > TOGETHER;
  for (const message of conversation.messages) {
    separate(message.at, message.id);
    if (message.id === conversation.newFrom) {
      rows.push({ type: "new", key: "new" });
      before = null;
    }
    rows.push({
      type: "message", key: `message-${message.id}`, message,
      isMine: message.user === me, isFirst: isFirst(message.user, message.at),
    });
    before = message;
  }
  for (const item of conversation.pending) {
    separate(item.at, item.clientId);
    rows.push({ type: "pending", key: `pending-${item.clientId}`, item, isFirst: isFirst(me, item.at) });
    before = { user: me, at: item.at };
  }
  return rows;
}

/** The first of the newest `unread` messages of others; null if there is none. */
export function firstUnread(messages, me, unread) {
  let [first, left] = [null, unread];
  for (let at = messages.length - 1; at >= 0 && left > 0; at -= 1) {
    if (messages[at].user === me) continue;
    first = messages[at].id;
    left -= 1;
  }
  return first;
}
