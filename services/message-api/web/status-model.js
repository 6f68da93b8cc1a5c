// What the status page shows, worked out without a page: histories, numbers as words, who is there.

/** Seconds that a chart shows. */
export const SPAN = 120;

/** For so many seconds a replica that left is still shown. */
export const FAREWELL = 10;

/** The newest values, each with its time in seconds. A null is a time of which nothing is known. */
export class History {
  #points = [];

  add(at, value) {
    this.#points.push({ at, value });
    const old = this.#points.findIndex((point) => at - point.at <= SPAN);
    // The one before the oldest that is shown: the line comes from there.
    if (old > 1) this.#points.splice(0, old - 1);
  }

  get points() {
    return this.#points;
  }

  /** The largest value of late, 0 if there is none. */
  get most() {
    return Math.max(0, ...this.#points.map(({ value }) => value ?? 0));
  }
}

/**
 * The path of an SVG line: the newest value stands at the right edge if it is of `now`. Where nothing
 * is known the line is broken. `most` is as high as the chart.
 */
export function line(points, now, most, width, height) {
  const place = (number) => Math.round(number * 10) / 10;
  let path = "";
  let isBroken = true;
  for (const { at, value } of points) {
    if (value === null) {
      isBroken = true;
      continue;
    }
    const x = place(width - ((now - at) / SPAN) * width);
    const y = place(height - (most > 0 ? value / most : 0) * height);
    // A point alone is a line of no length, which a round cap shows.
    path += isBroken ? `M${x} ${y}h0` : `L${x} ${y}`;
    isBroken = false;
  }
  return path;
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A count: `1,234`, `56.7K`. */
export const count = (number) => (number < 10_000 ? whole : compact).format(number);

/** So many a second: `0`, `0.25`, `3.4`, `120`, `56.7K`. */
export function rate(number) {
  if (number >= 100) return count(number);
  return String(Number(number.toFixed(number < 1 ? 2 : 1)));
}

/** Milliseconds: `0.42 ms`, `3.1 ms`, `120 ms`, `1.5 s`. */
export function time(ms) {
  if (ms >= 1_000) return `${Number((ms / 1_000).toFixed(1))} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return `${Number(ms.toFixed(ms < 1 ? 2 : 1))} ms`;
}

/** A latency's two figures, or a dash: `0.5 / 2 ms`. */
export function latency(of) {
  if (!of) return "–";
  const [[p50, unit], [p99, other]] = [of.p50, of.p99].map((ms) => time(ms).split(" "));
  return unit === other ? `${p50} / ${p99} ${unit}` : `${p50} ${unit} / ${p99} ${other}`;
}

/** Seconds, in their two largest units: `42 s`, `3 min 5 s`, `2 d 4 h`. */
export function age(seconds) {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const first = Math.max(0, units.findIndex(([, size]) => seconds >= size));
  if (seconds < 1) return "0 s";
  let left = Math.floor(seconds);
  const words = [];
  for (const [unit, size] of units.slice(first, first + 2)) {
    const number = Math.floor(left / size);
    left -= number * size;
    if (number > 0) words.push(`${number} ${unit}`);
  }
  return words.join(" ");
}

/** Bytes: `12 MiB`, `1.4 GiB`. */
export function memory(bytes) {
  const mebibytes = bytes / 1_048_576;
  return mebibytes < 1_000 ? `${mebibytes.toFixed(0)} MiB` : `${(mebibytes / 1_024).toFixed(1)} GiB`;
}

/** Cores in use: `0 %`, `150 %`. */
export const cpu = (cores) => `${(cores * 100).toFixed(0)} %`;

/** Who was there, so that who leaves is seen to leave. */
export class Roll {
  #known = new Map();

  /**
   * The replicas to show after an answer, those of one service together. Who stops has `left`, for a
   * while. While Redis is away the answer tells of one replica only: of the others nothing is known.
   */
  call(answer, now) {
    const isWhole = answer.redis === "ok";
    const here = new Set(answer.replicas.map(({ id }) => id));
    for (const replica of answer.replicas) this.#known.set(replica.id, { replica, at: now });
    for (const [id, { replica, at }] of this.#known) {
      if (here.has(id)) continue;
      const wasLost = replica.state === "lost";
      if (isWhole && (wasLost || now - at > FAREWELL)) this.#known.delete(id);
      else this.#known.set(id, { replica: { ...replica, state: isWhole ? "left" : "unknown" }, at });
    }
    const all = [...this.#known.values()].map(({ replica }) => replica);
    const key = ({ service, name, id }) => `${service} ${name} ${id}`;
    return all.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }
}

/** What a replica's state is called, and since when. */
export function stateOf({ state, heard }) {
  if (state === "lost") return `lost since ${age(heard / 1_000)}`;
  return { ready: "ready", unready: "not ready", draining: "draining", left: "left", unknown: "not known" }[state] ?? state;
}

/** One sentence on all of them, and how bad it is: `ready`, `unready` or `lost`. */
export function health(replicas) {
  const among = replicas.filter(({ state }) => state !== "left");
  const inState = (state) => among.filter((replica) => replica.state === state).length;
  const words = [
    ["lost", "lost"], ["unready", "not ready"], ["draining", "draining"], ["unknown", "not known"],
  ].filter(([state]) => inState(state) > 0).map(([state, word]) => `${inState(state)} ${word}`);
  const all = `${among.length} ${among.length === 1 ? "replica" : "replicas"}`;
  const lacking = among.filter(({ state, lacks }) => state === "ready" && lacks.length > 0).length;
  if (lacking > 0) words.push(`${lacking} without something`);
  if (words.length === 0) return { state: "ready", text: `${all}, all ready` };
  return { state: inState("lost") > 0 ? "lost" : "unready", text: `${all}: ${words.join(", ")}` };
}
