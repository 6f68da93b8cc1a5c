// What the status page works out, without a page.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  age, count, FAREWELL, health, History, latency, line, memory, rate, Roll, SPAN, stateOf, time,
} from "../../../services/message-api/web/status-model.js";

const replica = (id, more = {}) =>
  ({ id, service: "socket-gateway", name: `host:${id}`, state: "ready", heard: 0, lacks: [], ...more });
const answer = (replicas, redis = "ok") => ({ redis, replicas });
const states = (replicas) => replicas.map(({ id, state }) => `${id} ${state}`);

test("numbers are told in few words", () => {
  assert.deepEqual([0, 0.254, 3.44, 99.96, 1234.5, 56_700].map(rate), ["0", "0.25", "3.4", "100", "1,235", "56.7K"]);
  assert.deepEqual([0, 42, 9_999, 123_456].map(count), ["0", "42", "9,999", "123.5K"]);
  assert.deepEqual([0.421, 3.14, 120.4, 1_500].map(time), ["0.42 ms", "3.1 ms", "120 ms", "1.5 s"]);
  assert.deepEqual([0, 42.9, 185, 3_600, 187_200].map(age), ["0 s", "42 s", "3 min 5 s", "1 h", "2 d 4 h"]);
  assert.deepEqual([12 * 2 ** 20, 1.4 * 2 ** 30].map(memory), ["12 MiB", "1.4 GiB"]);
  assert.equal(latency(null), "–");
  assert.equal(latency({ p50: 0.5, p99: 2 }), "0.5 / 2 ms");
  assert.equal(latency({ p50: 0.5, p99: 2_500 }), "0.5 ms / 2.5 s");
});

test("a history forgets what no chart shows, however long it goes on", () => {
  const history = new History();
  for (let at = 0; at < 10 * SPAN; at += 1) history.add(at, at);
  assert.ok(history.points.length <= SPAN + 2, `${history.points.length} points`);
  assert.equal(history.most, 10 * SPAN - 1);
  assert.equal(new History().most, 0);
});

test("a line ends at the right edge and breaks where nothing is known", () => {
  const now = 1_000;
  const points = [[SPAN, 0], [60, 5], [30, null], [0, 10]].map(([ago, value]) => ({ at: now - ago, value }));
  assert.equal(line(points, now, 10, 240, 50), "M0 50h0L120 25M240 0h0");
  assert.equal(line([{ at: now, value: 0 }], now, 0, 240, 50), "M240 50h0", "nothing happened at all");
  assert.equal(line([], now, 1, 240, 50), "");
});

test("who dies is lost and then gone, who stops is seen to leave", () => {
  const roll = new Roll();
  assert.deepEqual(states(roll.call(answer([replica("b"), replica("a")]), 0)), ["a ready", "b ready"]);
  const dying = replica("b", { state: "lost", heard: 5_000 });
  assert.deepEqual(states(roll.call(answer([replica("a"), dying]), 5)), ["a ready", "b lost"]);
  assert.deepEqual(states(roll.call(answer([replica("a")]), 20)), ["a ready"]);
  assert.deepEqual(states(roll.call(answer([]), 21)), ["a left"]);
  assert.deepEqual(states(roll.call(answer([]), 20 + FAREWELL)), ["a left"]);
  assert.deepEqual(states(roll.call(answer([]), 21 + FAREWELL)), []);
});

test("while Redis is away nobody is said to have left", () => {
  const roll = new Roll();
  roll.call(answer([replica("a"), replica("b")]), 0);
  const alone = answer([replica("a")], "no answer in time");
  assert.deepEqual(states(roll.call(alone, 1)), ["a ready", "b unknown"]);
  assert.deepEqual(states(roll.call(alone, 600)), ["a ready", "b unknown"]);
  assert.deepEqual(states(roll.call(answer([replica("a"), replica("b")]), 601)), ["a ready", "b ready"]);
});

test("one sentence says how all are", () => {
  assert.deepEqual(health([replica("a")]), { state: "ready", text: "1 replica, all ready" });
  const left = replica("b", { state: "left" });
  assert.deepEqual(health([replica("a"), left]), { state: "ready", text: "1 replica, all ready" });
  const draining = replica("b", { state: "draining" });
  assert.deepEqual(health([replica("a"), draining]), { state: "unready", text: "2 replicas: 1 draining" });
  const lost = replica("c", { state: "lost", heard: 7_400 });
  assert.deepEqual(health([draining, lost]), { state: "lost", text: "2 replicas: 1 lost, 1 draining" });
  assert.equal(stateOf(lost), "lost since 7 s");
  const lacking = replica("a", { lacks: ["message-api: none of 2 replicas answers"] });
  assert.deepEqual(health([lacking]), { state: "unready", text: "1 replica: 1 without something" });
});
