// Tokens that must not be believed, made from one that may.

import { createHmac } from "node:crypto";

// What a stack on one machine signs with (deploy/local/src/options.rs).
const SECRET = process.env.JWT_SECRET ?? "a-secret-for-one-machine-only-never-in-production";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** What a token says. */
export const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

/** A token that says this, signed as the server signs. */
export const signed = (content, secret = SECRET) => {
  const head = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(content)}`;
  return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
};

/** Every kind of bad token, by name. */
export const badOnes = (live) => {
  const truth = claims(live);
  const [header, payload, signature] = live.split(".");
  return {
    expired: signed({ ...truth, iat: 1_000_000_000, exp: 1_000_000_001 }),
    "of an unknown session": signed({ ...truth, sid: "0".repeat(64) }),
    "of another user": signed({ ...truth, username: "somebody-else" }),
    "signed by somebody else": signed(truth, "another secret, just as long as the real one"),
    "tampered with": `${header}.${encode({ ...truth, username: "admin" })}.${signature}`,
    "alg none": `${encode({ alg: "none", typ: "JWT" })}.${payload}.`,
    "alg none with a signature": `${encode({ alg: "none", typ: "JWT" })}.${payload}.${signature}`,
    "without a signature": `${header}.${payload}.`,
    "cut off": live.slice(0, -4),
    garbage: "garbage",
    endless: "x".repeat(100_000),
    "with NUL": "a.b.c\0",
  };
};
