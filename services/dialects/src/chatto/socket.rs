//! Hop 1 of 10: 004's events come in, are parsed into the model's verbs and asked.
//! From the client; next the gateway's `chat_client.rs`. What comes back out is hop 10, `render.rs`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{
    Caller, ChangeKind, ChatError, Code, ConversationId, ConversationKind, Event, Fleeting, Follow,
    Frame, Message, Render, Result, Seq, Topic, Username, Via,
    chat::CHANGES_MAX,
    model::{NewMessage, Span},
};
use serde_json::Value;

use super::{
    render::Chatto,
    wire::{
        ChatMessage, Created, Join, Nothing, Place, Posted, Room, Say, Success, parse_room_name,
        same_user, unknown_room,
    },
};
use crate::{
    pace::Pace,
    payload::speaks_for,
    run::{self, Line},
    socket::{Client, Conversing, Leg},
};

/// Messages in a first `message history`.
const HISTORY: u32 = 50;

/// Most changes that `since` may reach back.
const SINCE_MAX: usize = 5_000;

/// Most rooms that one socket may be in.
const ROOMS_MAX: usize = 200;

/// 004's socket leg.
#[derive(Clone, Copy, Debug)]
pub struct ChattoLeg;

#[async_trait]
impl Leg for ChattoLeg {
    fn protocol(&self) -> &'static str {
        "chatto"
    }

    fn namespace(&self) -> &'static str {
        "/chatto"
    }

    fn knows(&self, event: &str, payload: &Value) -> bool {
        match event {
            "join room" | "leave room" | "chat message" | "create room" => true,
            "typing" => payload.get("roomId").is_some(),
            _ => false,
        }
    }

    async fn open(&self, client: Client) -> Result<Box<dyn Conversing>> {
        let news = client.ports.feed.listen(Topic::Everyone, client.listener(&Chatto)).await?;
        // At most 2 `typing` a second from one socket; more are not worth telling.
        let typing = Pace::new(2, Duration::from_secs(1));
        Ok(Box::new(ChattoSocket { client, rooms: HashMap::new(), typing, _news: news }))
    }
}

/// A room that a socket is in.
struct Joined {
    who: Caller,
    /// A guest's hold on the name.
    _worn: Option<Follow>,
    _follow: Follow,
    /// None where nobody is told of it: then there is nobody who could leave.
    attention: Option<Follow>,
}

impl Joined {
    const fn is_announced(&self) -> bool {
        self.attention.is_some()
    }
}

struct ChattoSocket {
    client: Client,
    rooms: HashMap<ConversationId, Joined>,
    typing: Pace,
    _news: Follow,
}

#[async_trait]
impl Conversing for ChattoSocket {
    async fn handle(&mut self, event: &str, payload: Value) -> Result<Value> {
        match event {
            "join room" => self.join(Join::parse(&payload)?).await,
            "leave room" => self.leave(&Place::of(&payload)?),
            "chat message" => self.say(vec![payload]).await.remove(0),
            "create room" => self.create(&payload).await,
            _ => self.typing(&Place::of(&payload)?).await,
        }
    }

    fn takes_runs(&self, event: &str) -> bool {
        event == "chat message"
    }

    async fn handle_run(&mut self, _: &str, payloads: Vec<Value>) -> Vec<Result<Value>> {
        self.say(payloads).await
    }

    async fn close(&mut self) {
        for (room, joined) in self.rooms.drain() {
            if joined.is_announced() {
                self.client.ports.feed.leave(room, &joined.who, self.client.key);
            }
        }
    }
}

impl ChattoSocket {
    /// Joins, sends the history, follows from there on.
    async fn join(&mut self, join: Join) -> Result<Value> {
        let room = join.place.room;
        let (who, worn) = self.caller(join.place.user.as_ref()).await?;
        if self.rooms.len() >= ROOMS_MAX && !self.rooms.contains_key(&room) {
            let rule = format!("a socket may be in {ROOMS_MAX} rooms at once");
            return Err(ChatError::too_many_at_once(rule));
        }
        let ports = self.client.ports.clone();
        let conversation = ports.chat.conversation(&who, room).await.map_err(as_room)?;
        if matches!(conversation.kind, ConversationKind::Direct { .. }) {
            return Err(unknown_room());
        }
        // Nothing comes after what has not happened yet.
        let since = join.since.map(|since| since.min(conversation.head));
        let attention = (!join.quiet).then(|| ports.feed.attend(room));
        // Joining again starts over: history, then what comes after it.
        // What was followed before falls silent before the history is read.
        let before = self.rooms.remove(&room).filter(Joined::is_announced).map(|joined| joined.who);
        let follow = self.catch_up_and_follow(&who, room, since).await;
        if let Some(before) = before
            && (follow.is_err() || join.quiet || !before.name().same_as(who.name()))
        {
            ports.feed.leave(room, &before, self.client.key);
        }
        let follow = follow?;
        if !join.quiet {
            ports.feed.enter(room, &who, self.client.key);
        }
        self.rooms.insert(room, Joined { who, _worn: worn, _follow: follow, attention });
        Success::ack(Nothing {})
    }

    async fn catch_up_and_follow(
        &self,
        who: &Caller,
        room: ConversationId,
        since: Option<Seq>,
    ) -> Result<Follow> {
        let after = match since {
            None => self.send_newest(who, room).await?,
            Some(since) => self.send_since(room, since).await?,
        };
        self.client.ports.feed.follow(room, Some(after), self.client.listener(&Chatto)).await
    }

    async fn send_newest(&self, who: &Caller, room: ConversationId) -> Result<Seq> {
        let page = self.client.ports.chat.history(who, room, Span::Newest, HISTORY).await?;
        self.send_history(&page.messages);
        Ok(page.head)
    }

    /// What came after `since`: new messages as history, what happened to older ones as events.
    async fn send_since(&self, room: ConversationId, since: Seq) -> Result<Seq> {
        let mut changes = Vec::new();
        loop {
            let after = changes.last().map_or(since, |change: &chat_core::Change| change.seq);
            let page = self.client.ports.chat.changes(room, after, CHANGES_MAX).await?;
            let is_last = page.len() < CHANGES_MAX as usize;
            changes.extend(page);
            if changes.len() > SINCE_MAX {
                let rule = format!("`since` is more than {SINCE_MAX} changes ago, join without it");
                return Err(ChatError::invalid_payload(rule));
            }
            if is_last {
                break;
            }
        }
        let after = changes.last().map_or(since, |change| change.seq);
        let (posted, later): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| matches!(change.kind, ChangeKind::Posted(_)));
        let messages: Vec<Message> = posted
            .into_iter()
            .filter_map(|change| match change.kind {
                ChangeKind::Posted(message) => Some(*message),
                _ => None,
            })
            .collect();
        self.send_history(&messages);
        for change in later {
            for frame in Chatto.render(&Event::Change(change), 0) {
                self.client.sink.has_room().await;
                self.client.sink.deliver(&frame);
            }
        }
        Ok(after)
    }

    fn send_history(&self, messages: &[Message]) {
        let rows: Vec<_> = messages.iter().map(ChatMessage::from).collect();
        self.client.sink.deliver(&Frame::new("message history", &rows));
    }

    fn leave(&mut self, place: &Place) -> Result<Value> {
        self.joined(place)?;
        if let Some(joined) = self.rooms.remove(&place.room).filter(Joined::is_announced) {
            self.client.ports.feed.leave(place.room, &joined.who, self.client.key);
        }
        Success::ack(Nothing {})
    }

    async fn say(&self, payloads: Vec<Value>) -> Vec<Result<Value>> {
        let lines = payloads.iter().map(|payload| self.line(payload)).collect();
        run::post(&self.client, lines, |message| {
            Success::ack(Posted { message: ChatMessage::from(message) })
        })
        .await
    }

    fn line(&self, payload: &Value) -> Result<Line> {
        let say = Say::parse(payload, &self.client.ports.limits)?;
        let who = self.joined(&say.place)?.who.clone();
        let message = NewMessage {
            conversation: say.place.room,
            text: say.text,
            media: Vec::new(),
            client_id: say.client_id,
            via: Via::Chatto,
        };
        Ok(Line { who, message })
    }

    async fn create(&mut self, payload: &Value) -> Result<Value> {
        let title = parse_room_name(payload)?;
        let who = self.client.user().ok_or_else(ChatError::unauthorised)?;
        speaks_for(who.name(), payload, &["user"])?;
        let room = self.client.ports.chat.create_room(&who, title).await?;
        Success::ack(Created { room: Room::from(&room) })
    }

    async fn typing(&mut self, place: &Place) -> Result<Value> {
        let who = self.joined(place)?.who.clone();
        if self.typing.allows() {
            let name = who.name().clone();
            if let Caller::Guest(name) = who {
                // Somebody may have registered the name since.
                self.client.ports.chat.admit_guest(name).await?;
            }
            let (conversation, origin) = (place.room, self.client.key);
            let typing = Fleeting::Typing { conversation, name, origin };
            self.client.ports.feed.whisper(Topic::Conversation(conversation), typing);
        }
        Success::ack(Nothing {})
    }

    /// The room, if this socket is in it under the payload's name.
    fn joined(&self, place: &Place) -> Result<&Joined> {
        let Some(joined) = self.rooms.get(&place.room) else {
            return Err(ChatError::new(Code::NotJoined, "join the room first: `roomId`"));
        };
        same_user(&joined.who, place.user.as_ref())?;
        Ok(joined)
    }

    /// Who this socket is: its session's user, or a guest by the payload's name.
    async fn caller(&self, claimed: Option<&Username>) -> Result<(Caller, Option<Follow>)> {
        if let Some(user) = self.client.user() {
            same_user(&user, claimed)?;
            return Ok((user, None));
        }
        if !self.client.ports.guests {
            return Err(ChatError::unauthorised());
        }
        let name = claimed.ok_or_else(|| {
            ChatError::invalid_payload("`user` is missing: a guest goes by the name given there")
        })?;
        // Asked each time: somebody may have registered the name since.
        let worn = self.client.ports.feed.wear(name, Arc::clone(&self.client.sink));
        Ok((self.client.ports.chat.admit_guest(name.clone()).await?, Some(worn)))
    }
}

/// A conversation that is not there is, in 004's words, a room that is not there.
fn as_room(error: ChatError) -> ChatError {
    if error.code() == Code::NotFound { unknown_room() } else { error }
}
