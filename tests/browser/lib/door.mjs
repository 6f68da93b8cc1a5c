// A front door of one's own: pages and REST from message-api, sockets at one chosen gateway, and it can be shut.

import http from "node:http";
import net from "node:net";

const toSockets = /^\/(socket\.io\/(?!socket\.io\.js)|ws[/?]|ws$)/;

/** Opens a door to `gateway` and `api` (URLs). It is closed when the test ends. */
export async function openDoor(t, gateway, api) {
  const sockets = new Set();
  let isShut = false;

  const behind = (path) => new URL(toSockets.test(path) ? gateway : api);

  const server = http.createServer((request, response) => {
    if (isShut) return request.socket.destroy();
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
    if (isShut) return socket.destroy();
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
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const door = {
    url: `http://localhost:${server.address().port}`,
    /** Cuts everything, and lets nobody in until it is opened. */
    shut() {
      isShut = true;
      for (const socket of sockets) socket.destroy();
    },
    open() {
      isShut = false;
    },
  };
  t.after(() => {
    door.shut();
    server.close();
  });
  return door;
}
