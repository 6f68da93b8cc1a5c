// The peer: Socket.IO as its documentation shows it, with the Redis adapter; a message that asks
// to be durable is one INSERT, acknowledged and emitted after it.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import mysql from "mysql2/promise";
import { createClient } from "redis";
import { Server } from "socket.io";

const [host, port] = process.argv[2].split(":");
const publisher = createClient({ url: process.env.REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);
const database = mysql.createPool({ uri: process.env.DATABASE_URL, connectionLimit: 32 });

const engine = process.env.ENGINE === "eiows" ? await import("eiows") : undefined;
const options = { adapter: createAdapter(publisher, subscriber) };
if (engine) options.wsEngine = (engine.default ?? engine).Server;
const server = createServer();
const io = new Server(server, options);

let count = 0;

async function store(room, user, text) {
  const [{ insertId }] = await database.execute(
    "INSERT INTO messages (room, author, text, created_at) VALUES (?, ?, ?, UTC_TIMESTAMP(3))",
    [room, user, text],
  );
  return insertId;
}

io.on("connection", (socket) => {
  const me = socket.handshake.auth.user;
  socket.join(`user:${me}`);
  socket.on("join room", ({ roomId }, ack) => {
    socket.join(roomId);
    ack?.({ success: true });
  });
  socket.on("chat message", async ({ roomId, user, text, durable }, ack) => {
    const id = durable ? await store(roomId, user, text) : ++count;
    const timestamp = new Date().toISOString();
    const message = { _id: String(id), room: roomId, user, text, timestamp, seq: id };
    io.to(roomId).emit("chat message", message);
    ack?.({ success: true, message });
  });
  socket.on("typing", ({ roomId, user }) => {
    socket.to(roomId).emit("typing", { roomId, user });
  });
  socket.on("send:message", (message) => {
    socket.broadcast.emit("broadcast:message", message);
  });
  socket.on("send-message", async ({ user, message }, ack) => {
    const id = await store(user, me, message);
    const chat = { id, sender: me, recipient: user, message, has_read: false, media: [],
      created_at: new Date().toISOString() };
    io.to(`user:${user}`).emit("chat", { chat });
    ack?.({ chat });
  });
});

server.listen(Number(port), host);
