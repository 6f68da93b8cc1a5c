// Where the product is: `make test-browser` says it.

const given = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests with \`make test-browser\``);
  return value;
};

// As people type it: a cookie for localhost is sent to 127.0.0.1 by nobody.
const local = (url) => url.replace("127.0.0.1", "localhost");

export const FRONT = local(given("FRONT_URL"));
export const API = given("API_URL");
export const GATEWAYS = [given("GATEWAY_1_URL"), given("GATEWAY_2_URL")];

/** Kills a gateway, by its number from 0, without a word. The stack starts it again. */
export const killGateway = (n) => process.kill(Number(given(`GATEWAY_${n + 1}_PID`)), "SIGKILL");
