//! Hop 1 of 10: 003's events come in, are parsed into the model's verbs and asked.
//! From the client; next the gateway's `chat_client.rs`. What comes back out is hop 10, `render.rs`
//! and `ear.rs`.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use chat_core::{
    ChatError, CloseReason, Code, Follow, Frame, Listener, Message, MessageId, Result, Sink, Topic,
    Username, Via,
    model::{NewMessage, Peer},
};
use serde_json::Value;

use super::{
    asks::{FetchChats, FetchUsers, Send, chat_of, edit_of, user_of},
    ear,
    peers::Peers,
    render::Messenger,
    wire::{Chats, Line, Nothing, OneChat, UnreadCount, UserRow, Users, ack},
};
use crate::{
    payload::speaks_for,
    socket::{Client, Conversing, Leg, Stranger},
};

/// Most users that one socket may wait for.
const WAITS_MAX: usize = 1_000;

/// The socket leg.
#[derive(Clone, Copy, Debug)]
pub struct MessengerLeg;

#[async_trait]
impl Leg for MessengerLeg {
    fn protocol(&self) -> &'static str {
        "messenger"
    }

    fn namespace(&self) -> &'static str {
        "/chat"
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn takes_guests(&self) -> bool {
        false
    }

    fn knows(&self, event: &str, _: &Value) -> bool {
        matches!(
            event,
            "fetch-users"
                | "fetch-conversation-with-user"
                | "fetch-unread-chats-count"
                | "read-chat"
                | "send-message"
                | "edit-chat"
                | "delete-chat"
                | "wait-for-user"
                | "stop-waiting-for-user"
        )
    }

    async fn open(&self, client: Client) -> Result<Box<dyn Conversing>> {
        let Some(session) = &client.session else {
            client.sink.deliver(&Frame::new("auth-failed", &Nothing {}));
            client.sink.close(CloseReason::SessionEnded);
            return Ok(Box::new(Stranger));
        };
        let peers = Arc::new(Peers::of(&session.user, &client.ports.chat));
        let ear = ear::start(&client, &peers);
        match follow(&client, &peers, ear).await {
            Ok(follows) => Ok(Box::new(MessengerSocket {
                client,
                peers,
                waits: HashMap::new(),
                _follows: follows,
            })),
            Err(error) => {
                // Deaf it would be of no use: it comes back.
                client.sink.close(CloseReason::SlowReader);
                Err(error)
            }
        }
    }
}

async fn follow(client: &Client, peers: &Peers, ear: Arc<dyn Sink>) -> Result<[Follow; 2]> {
    let listener = Listener { sink: ear, ..client.listener(&Messenger) };
    Ok([
        client.ports.feed.follow_directs(peers.me(), listener.clone()).await?,
        client.ports.feed.listen(Topic::Everyone, listener).await?,
    ])
}

struct MessengerSocket {
    client: Client,
    peers: Arc<Peers>,
    /// By the key of the user's name.
    waits: HashMap<String, Follow>,
    _follows: [Follow; 2],
}

#[async_trait]
impl Conversing for MessengerSocket {
    async fn handle(&mut self, event: &str, payload: Value) -> Result<Value> {
        // `user` is always the other side here.
        speaks_for(&self.peers.me().name, &payload, &["author", "sender", "senderUsername"])?;
        match event {
            "fetch-users" => self.users(FetchUsers::parse(&payload)?).await,
            "fetch-conversation-with-user" => self.chats(FetchChats::parse(&payload)?).await,
            "fetch-unread-chats-count" => self.unread(&user_of(&payload)?).await,
            "read-chat" => self.read(chat_of(&payload)?).await,
            "send-message" => self.send(Send::parse(&payload, &self.client.ports.limits)?).await,
            "edit-chat" => self.edit(&payload).await,
            "delete-chat" => self.delete(chat_of(&payload)?).await,
            "wait-for-user" => self.wait_for(user_of(&payload)?).await,
            "stop-waiting-for-user" => {
                self.waits.remove(&user_of(&payload)?.key());
                ack(&Nothing {})
            }
            _ => Err(ChatError::new(Code::UnknownEvent, "there is no such event")),
        }
    }

    async fn close(&mut self) {
        self.waits.clear();
    }
}

impl MessengerSocket {
    async fn users(&self, fetch: FetchUsers) -> Result<Value> {
        let page = self.client.ports.chat.users(fetch.after, fetch.limit).await?;
        let (me, roster) = (self.peers.me(), self.client.ports.feed.roster());
        let others = page.users.iter().filter(|user| user.id != me.id);
        let rows = others.map(|user| UserRow {
            username: user.name.as_str(),
            is_online: roster.is_online(user.id),
        });
        let users = rows.collect();
        ack(&Users { users, next: page.next.as_ref().map(Username::as_str) })
    }

    async fn chats(&self, fetch: FetchChats) -> Result<Value> {
        let (direct, peer) = self.peers.past_with(&fetch.user).await?;
        let chat = &self.client.ports.chat;
        let page = chat.history(&self.peers.caller(), direct, fetch.span, fetch.limit).await?;
        let lines: Vec<_> = page.messages.iter().rev().map(Line::from).collect();
        let me = &self.peers.me().name;
        ack(&Chats { chats: lines.iter().map(|line| line.between(me, &peer)).collect() })
    }

    async fn unread(&self, user: &Username) -> Result<Value> {
        let (direct, _) = self.peers.past_with(user).await?;
        let unread = self.client.ports.chat.unread_count(&self.peers.caller(), direct).await?;
        ack(&UnreadCount { user: None, unread_chats_count: unread })
    }

    async fn read(&self, id: MessageId) -> Result<Value> {
        self.client.ports.chat.mark_read(&self.peers.caller(), id).await?;
        ack(&Nothing {})
    }

    async fn send(&self, send: Send) -> Result<Value> {
        let (conversation, _) = self.peers.direct_with(&send.user).await?;
        let new = NewMessage {
            conversation,
            text: send.text,
            media: send.media,
            client_id: send.client_id,
            via: Via::Messenger,
        };
        let chat = &self.client.ports.chat;
        let sent = chat.post(&self.peers.caller(), new, Some(self.client.key)).await?;
        self.peers.sent(sent.id);
        // A key used before answers the first chat, whoever that went to.
        let peer = self.peers.peer_in(sent.conversation).await?;
        self.one(&sent, &peer)
    }

    async fn edit(&self, payload: &Value) -> Result<Value> {
        let (id, text) = edit_of(payload, &self.client.ports.limits)?;
        let (_, peer) = self.chat(id).await?;
        let edited = self.client.ports.chat.edit(&self.peers.caller(), id, text).await?;
        self.one(&edited, &peer)
    }

    async fn delete(&self, id: MessageId) -> Result<Value> {
        self.chat(id).await?;
        self.client.ports.chat.delete(&self.peers.caller(), id).await?;
        ack(&Nothing {})
    }

    /// A chat and the other side of it; what was said in rooms is none.
    async fn chat(&self, id: MessageId) -> Result<(Message, Username)> {
        let message = self.client.ports.chat.message(&self.peers.caller(), id).await?;
        let peer = self.peers.peer_in(message.conversation).await?;
        Ok((message, peer))
    }

    fn one(&self, message: &Message, peer: &Username) -> Result<Value> {
        let line = Line::from(message);
        ack(&OneChat { chat: line.between(&self.peers.me().name, peer) })
    }

    /// Waiting again starts over: the socket is told at once whether they are online.
    async fn wait_for(&mut self, name: Username) -> Result<Value> {
        let key = name.key();
        if self.waits.len() >= WAITS_MAX && !self.waits.contains_key(&key) {
            let rule = format!("a socket may wait for {WAITS_MAX} users at once");
            return Err(ChatError::too_many_at_once(rule));
        }
        let user = self.client.ports.chat.user(Peer::Name(name)).await?;
        self.waits.remove(&key);
        let wait = self.client.ports.feed.watch(&user, self.client.listener(&Messenger));
        self.waits.insert(key, wait);
        ack(&Nothing {})
    }
}
