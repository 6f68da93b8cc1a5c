// A front door of one's own: pages and REST from message-api, sockets at one chosen gateway, and it can be shut.

import http from "node:http";
import net from "node:net";
import { after } from "node:test";

import { API, GATEWAY_1, GATEWAY_2 } from "../../clients/lib/stack.mjs";

const toSockets = /^\/(socket\.io\/(?!socket\.io\.js)|ws[/?]|ws$)/;

const doors = new Set();

// After the browsers: no page shall see its door close.
after(() => {
  for (const door of doors) door.close();
});

/** A door to each of the two gateways. */
export const openDoors = () => Promise.all([GATEWAY_1, GATEWAY_2].map(openDoor));

async function openDoor(gateway) {
  const connections = new Set();
  let isShut = () => false;

  const behind = (path) => new URL(toSockets.test(path) ? gateway : API);

  const server = http.createServer((request, response) => {
    if (isShut(request.url)) return request.socket.destroy();
    const { hostname, port } = behind(request.url);
    const { method, url: path, headers } = request;
    const forwarded = http.request({ hostname, port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    forwarded.on("error", () => request.socket.destroy());
    request.pipe(forwarded);
  });

  server.on("upgrade", (request, socket, head) => {
    if (isShut(request.url)) return socket.destroy();
    socket.path = request.url;
    const { hostname, port } = behind(request.url);
    const other = net.connect(port, hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2) lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      other.write(`${lines.join("\r\n")}\r\n\r\n`);
      other.write(head);
      socket.pipe(other).pipe(socket);
    });
    for (const [one, peer] of [[socket, other], [other, socket]]) {
      one.on("error", () => {});
      one.on("close", () => peer.destroy());
    }
  });
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
  });

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (paths) => {
    isShut = paths;
    for (const socket of connections) if (isShut(socket.path ?? "/")) socket.destroy();
  };
  const door = {
    url: `http://localhost:${server.address().port}`,
    /** Cuts everything, and lets nobody in until it is opened. */
    shut() {
      cut(() => true);
    },
    /** The same for sockets only, or for some of them; pages and REST are served. */
    shutSockets(which = () => true) {
      cut((path) => toSockets.test(path) && which(path));
    },
    open() {
      isShut = () => false;
    },
    close() {
      this.shut();
      server.close();
    },
  };
  doors.add(door);
  return door;
}
