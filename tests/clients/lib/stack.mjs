// Where the product is, and what it may do at most: take too long.

/** Longest that anything may take, in milliseconds. */
export const PATIENCE = 10_000;

const url = (name) => {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set: run these tests with \`make test-clients\``);
  }
  return value;
};

/** Two gateways of one product. */
export const GATEWAY_1 = url("GATEWAY_1_URL");
export const GATEWAY_2 = url("GATEWAY_2_URL");

/** message-api's REST. */
export const API = url("API_URL");

/** The front door: REST and sockets on one origin. */
export const FRONT = url("FRONT_URL");

/** Waits for a promise, but not for ever; `what` may be a function that says how far it came. */
export const within = async (promise, what, patience = PATIENCE) => {
  let timer;
  const tooLong = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const awaited = typeof what === "function" ? what() : what;
      reject(new Error(`waited ${patience} ms for ${awaited}`));
    }, patience);
  });
  try {
    return await Promise.race([promise, tooLong]);
  } finally {
    clearTimeout(timer);
  }
};
