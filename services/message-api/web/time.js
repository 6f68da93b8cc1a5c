// Times as people at this clock read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const fullDay = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const shortDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** The local day that a time (in ms) lies in, as something to compare. */
export function dayOf(ms) {
  const date = new Date(ms);
  return date.getFullYear() * 10_000 + date.getMonth() * 100 + date.getDate();
}

/** `14:05`. */
export const timeOf = (ms) => clock.format(ms);

/** All of it, for a tooltip. */
export const exactly = (ms) => exact.format(ms);

/** A day separator: `Today`, `Yesterday`, `Friday, 20 November`. */
export function dayName(ms, now = Date.now()) {
  if (dayOf(ms) === dayOf(now)) return "Today";
  const today = new Date(now);
  if (dayOf(ms) === dayOf(new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1))) return "Yesterday";
  return (new Date(ms).getFullYear() === new Date(now).getFullYear() ? weekday : fullDay).format(ms);
}

/** In the list of conversations: the time if it is of today, else the day. */
export const shortly = (ms, now = Date.now()) => (dayOf(ms) === dayOf(now) ? timeOf(ms) : shortDay.format(ms));
