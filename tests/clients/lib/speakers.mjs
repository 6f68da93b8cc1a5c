// People who speak one protocol each, all through the same verbs. What they hear and read they
// give in one form, `{id, author, text}`, after a look at the shape in which it came.

import assert from "node:assert/strict";

import { ISO, connect } from "./chatto.mjs";
import { open } from "./plain.mjs";

const same = (id) => (body) => String(body.id ?? body._id) === id;

const keys = (value, expected) =>
  assert.deepEqual(Object.keys(value).sort(), [...expected].sort());

/** A message's fields. `mark`, the time of the last edit, is there exactly if it `wasEdited`; in a
 * history, where that is not known, it may be. */
const shape = (message, expected, mark, wasEdited = mark in message) => {
  keys(message, wasEdited ? [...expected, mark] : expected);
  if (wasEdited) assert.match(message[mark], ISO);
};

/** What came of one message under these names, and nobody has taken. */
const untaken = (socket, names, fits) => names.flatMap((name) => socket.unread(name).filter(fits));

const isMillis = (value) => assert.ok(Number.isSafeInteger(value) && value > 1.6e12, String(value));

// 001 is the protocol in which one edits and deletes; 004 and 000 have only the news of it.
const byRest = (person, conversation) => {
  const url = (id) => `/api/conversations/${conversation}/${id}`;
  return {
    edits: (id, text) => person.rest("PATCH", url(id), { text }),
    deletes: (id) => person.rest("DELETE", url(id)),
  };
};

/** 000: only the lobby. It has no events for edits and deletions. */
const tinychat = async (t, gateway, person, conversation) => {
  assert.equal(conversation, "lobby");
  const socket = await connect(t, gateway, person);
  const common = ({ id, author, content }) => ({ id: String(id), author, text: content });
  const live = (message) => {
    keys(message, ["author", "content", "id", "timestamp"]);
    isMillis(message.timestamp);
    return common(message);
  };
  return {
    ...byRest(person, conversation),
    says: async (text) => {
      const message = { Author: person.name, Content: text };
      const answer = await person.rest("POST", "/api/v1/messages", message);
      assert.deepEqual(answer, { body: "Message Received" });
    },
    edits: (id, text) => person.rest("PATCH", `/api/v1/messages/${id}`, { content: text }),
    hears: async (text) => live(await socket.next("broadcast:message", (m) => m.content === text)),
    heardAgain: (text) => untaken(socket, ["broadcast:message"], (m) => m.content === text),
    history: async () => {
      const { messages } = (await person.rest("GET", "/api/v1/messages")).body;
      return messages.map((message) => {
        keys(message, ["author", "content", "id", "last_edited", "timestamp"]);
        isMillis(message.timestamp);
        if (message.last_edited !== null) isMillis(message.last_edited);
        return common(message);
      });
    },
  };
};

/** 001: one WebSocket for a conversation. */
const conversations = async (t, gateway, person, conversation) => {
  const socket = await open(t, gateway, `/ws/conversations/${conversation}?token=${person.token}`);
  const common = (message, wasEdited) => {
    shape(message, ["id", "seq", "text", "timestamp", "url", "user"], "edited", wasEdited);
    assert.match(message.timestamp, ISO);
    assert.equal(message.url, `/api/conversations/${conversation}/${message.id}`);
    return { id: message.id, author: message.user, text: message.text };
  };
  const url = (id) => `/api/conversations/${conversation}/${id}`;
  return {
    ...byRest(person, conversation),
    says: async (text) => {
      socket.sends({ text });
      assert.equal((await socket.next("posted")).status, "success");
    },
    hears: async (text) => common(await socket.hears(text), false),
    heardAgain: (text) => untaken(socket, ["message"], ({ message }) => message.text === text),
    newsAgain: (id) =>
      untaken(socket, ["edited", "deleted"], (frame) => (frame.message ?? frame).url === url(id)),
    hearsEdit: async (id) => {
      const { message } = await socket.next("edited", (frame) => same(id)(frame.message));
      return common(message, true);
    },
    hearsDeletion: async (id) => {
      const frame = await socket.next("deleted", (deleted) => deleted.url === url(id));
      assert.deepEqual(frame, { url: url(id) });
    },
    history: async () => (await person.reads(conversation)).map((row) => common(row)),
  };
};

/** 004. */
const chatto = async (t, gateway, person, conversation) => {
  const socket = await connect(t, gateway, person);
  await socket.joins(conversation, { user: person.name });
  const common = (message, wasEdited) => {
    shape(message, ["_id", "room", "seq", "text", "timestamp", "user"], "edited", wasEdited);
    assert.match(message.timestamp, ISO);
    assert.equal(message.room, conversation);
    return { id: message._id, author: message.user, text: message.text };
  };
  return {
    ...byRest(person, conversation),
    says: (text) => socket.says(conversation, text, { user: person.name }),
    hears: async (text) => common(await socket.hears(text), false),
    heardAgain: (text) => untaken(socket, ["chat message"], (m) => m.text === text),
    newsAgain: (id) => untaken(socket, ["message edited", "message deleted"], same(id)),
    hearsEdit: async (id) => common(await socket.next("message edited", same(id)), true),
    hearsDeletion: async (id) => {
      const deleted = await socket.next("message deleted", same(id));
      assert.deepEqual(deleted, { _id: id, room: conversation });
    },
    history: async () => {
      const late = await connect(t, gateway, person);
      const rows = await late.joins(conversation);
      late.leaves();
      return rows.map((row) => common(row));
    },
  };
};

/** A connection of 003. */
export const messengerSocket = async (t, gateway, person) => {
  const socket = await connect(t, `${gateway}/chat`, person, { path: "/ws" });
  return socket;
};

const CHAT = ["created_at", "has_read", "id", "media", "mediaIds", "message"];
const PEERS = ["recipient", "recipientUsername", "sender", "senderUsername"];

/** 003: a conversation with one other user. */
const messenger = async (t, gateway, person, peer) => {
  const socket = await messengerSocket(t, gateway, person);
  const common = (chat, wasEdited) => {
    shape(chat, [...CHAT, ...PEERS], "edited_at", wasEdited);
    assert.match(chat.created_at, ISO);
    assert.deepEqual([chat.senderUsername, chat.recipientUsername], [chat.sender, chat.recipient]);
    assert.deepEqual([chat.sender, chat.recipient].sort(), [person.name, peer.name].sort());
    return { id: String(chat.id), author: chat.sender, text: chat.message };
  };
  return {
    says: async (text) => {
      const { chat } = await socket.ask("send-message", { user: peer.name, message: text });
      assert.deepEqual([common(chat).author, chat.message], [person.name, text]);
    },
    edits: async (id, text) => {
      const ack = await socket.ask("edit-chat", { id: Number(id), message: text });
      assert.notEqual(ack.success, false, JSON.stringify(ack));
    },
    deletes: async (id) =>
      assert.deepEqual(await socket.ask("delete-chat", { id: Number(id) }), {}),
    hears: async (text) => {
      const { chat } = await socket.next("chat", (body) => body.chat.message === text);
      return common(chat, false);
    },
    heardAgain: (text) => untaken(socket, ["chat"], ({ chat }) => chat.message === text),
    newsAgain: (id) =>
      untaken(socket, ["edit-chat", "delete-chat"], (body) => same(id)(body.chat ?? body)),
    hearsEdit: async (id) => {
      const { chat } = await socket.next("edit-chat", (body) => same(id)(body.chat));
      return common(chat, true);
    },
    hearsDeletion: async (id) =>
      assert.deepEqual(await socket.next("delete-chat", same(id)), { id: Number(id) }),
    history: async () => {
      const { chats } = await socket.ask("fetch-conversation-with-user", { user: peer.name });
      return chats.map((chat) => common(chat)).reverse();
    },
  };
};

/** 002: a channel with one other user. It has no events for edits and deletions, in or out. */
const oneToOne = async (t, gateway, person, peer) => {
  const socket = await connect(t, gateway, person);
  const hand = await messenger(t, gateway, person, peer);
  const common = (row) => {
    assert.match(row.createdAt, ISO);
    assert.ok(Number.isSafeInteger(row.id));
    return { id: String(row.id), author: row.username, text: row.msg };
  };
  const history = async () => {
    socket.tells("chatHistory", { user: peer.name });
    const rows = await socket.next("chatHistory");
    return rows.map(({ User, ...row }) => {
      keys(row, ["createdAt", "id", "msg", "username"]);
      assert.equal(User.username, row.username);
      return common(row);
    });
  };
  assert.deepEqual(await history(), [], "a new channel is empty");
  return {
    edits: hand.edits,
    deletes: hand.deletes,
    says: async (text) => {
      socket.tells("chatMessage", text);
      await socket.next("chatMessage", (message) => message.msg === text);
    },
    hears: async (text) => {
      const message = await socket.next("chatMessage", ({ msg }) => msg === text);
      keys(message, ["createdAt", "id", "msg", "username"]);
      return common(message);
    },
    heardAgain: (text) => untaken(socket, ["chatMessage"], ({ msg }) => msg === text),
    history,
  };
};

/** Who speaks in the lobby, in rooms, and to one other user. */
export const IN_LOBBY = { "000": tinychat, "001": conversations, "004": chatto };
export const IN_ROOMS = { "001": conversations, "004": chatto };
export const IN_DIRECTS = { "002": oneToOne, "003": messenger };
