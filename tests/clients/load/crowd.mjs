// A crowd of official clients that come at once: node crowd.mjs <url> <token> <clients> <seconds>.
// Ends when all are inside, or the time is over; prints its books: who is inside, by which way who
// was refused for good, and how many attempts failed that clients repeated by themselves.

import { io } from "socket.io-client";

const [url, token, clients, seconds] = process.argv.slice(2);
const WAYS = [["websocket"], ["polling"], ["polling", "websocket"]];

const final = [];
let repeated = 0;

const crowd = Array.from({ length: Number(clients) }, (_, number) => {
  const transports = WAYS[number % WAYS.length];
  const socket = io(url, { transports, auth: { token }, forceNew: true });
  const ends = (why) => {
    // What official clients say of themselves: will it come back?
    if (socket.active) repeated += 1;
    else final.push(`${transports}: ${why}`);
  };
  socket.on("connect_error", (error) => ends(error.message));
  socket.on("disconnect", ends);
  return socket;
});

const inside = () => crowd.filter((socket) => socket.connected).length;
const until = Date.now() + Number(seconds) * 1_000;
const look = setInterval(() => {
  if (inside() < crowd.length && final.length === 0 && Date.now() < until) return;
  clearInterval(look);
  const books = JSON.stringify({ inside: inside(), final, repeated });
  process.stdout.write(books, () => process.exit(0));
}, 100);
