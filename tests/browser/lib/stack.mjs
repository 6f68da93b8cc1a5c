// What tests in a browser may do to the product beside using it.

/** Kills a gateway, by its number from 1, without a word. The stack starts it again. */
export const killGateway = (n) => {
  const pid = Number(process.env[`GATEWAY_${n}_PID`]);
  if (!pid) throw new Error("no pid of a gateway: run these tests with `make test-browser`");
  process.kill(pid, "SIGKILL");
};
