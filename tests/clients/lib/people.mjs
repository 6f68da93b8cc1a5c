// Users, what they do over REST, and names that no other test uses.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

import { API, PATIENCE } from "./stack.mjs";

/** The password of every user here. */
export const PASSWORD = "correct horse";

/** A user or room name that nobody else has. */
export const unique = (stem) => `${stem}-${randomBytes(6).toString("hex")}`;

/** Sends a request; answers status, headers and the JSON. */
export const request = async (method, path, { token, cookie, body, origin = API } = {}) => {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  if (cookie) headers.cookie = cookie;
  const response = await fetch(`${origin}${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
};

/** Somebody with an account. */
export class Person {
  constructor(name, token) {
    this.name = name;
    this.token = token;
  }

  /** Sends a request as this user, which must succeed; answers the JSON. */
  async rest(method, path, body) {
    const answer = await request(method, path, { token: this.token, body });
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Makes a room; answers its id. */
  async makesRoom(name = unique("room")) {
    return (await this.rest("POST", "/api/conversations/", { title: name })).id;
  }

  /** Posts over REST; answers the message's path. */
  async posts(room, text) {
    return (await this.rest("POST", `/api/conversations/${room}`, { text })).url;
  }

  /** The newest messages of a room, oldest first. */
  async reads(room, count = 1_000) {
    return (await this.rest("GET", `/api/conversations/${room}?N=${count}`)).messages;
  }
}

/** Registers a user whose name begins like this. */
export const register = async (stem, origin = API) => {
  const name = unique(stem);
  const body = { username: name, password: PASSWORD };
  const answer = await request("POST", "/api/register", { body, origin });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  assert.equal(answer.body.username, name);
  return new Person(name, answer.body.token);
};

/** The session cookie of a new user, as a browser would send it back; and the user's name. */
export const registerWithCookie = async (stem, origin = API) => {
  const name = unique(stem);
  const answer = await request("POST", "/auth/register", { body: { username: name }, origin });
  assert.deepEqual(answer.body, { status: "success" });
  return { name, cookie: answer.headers.get("set-cookie").split(";")[0] };
};
