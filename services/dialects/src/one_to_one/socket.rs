//! Hop 1 of 10: 002's events come in, are parsed into the model's verbs and asked.
//! From the client; next the gateway's `chat_client.rs`. What comes back out is hop 10, `render.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{
    Caller, ChatError, Code, ConversationId, Follow, Frame, MessageId, Result, Seq, User, Via,
    model::{History, NewMessage, Span},
};
use serde_json::{Value, json};

use super::{
    everybody::Everybody,
    render::OneToOne,
    roster::{Board, Seat},
    typing::{Typing, Typist},
    wire::{Ask, ChatMessage, HistoryRow, Say, StoreUsername, UserRow},
};
use crate::{
    payload::speaks_for,
    run::{self, Line},
    socket::{Client, Conversing, Leg, Stranger},
};

/// Rows of one `chatHistory`.
const ROWS: u32 = 10;

/// 002's socket leg.
#[derive(Clone, Default)]
pub struct OneToOneLeg {
    board: Arc<Board>,
    everybody: Arc<Everybody>,
}

#[async_trait]
impl Leg for OneToOneLeg {
    fn protocol(&self) -> &'static str {
        "one-to-one"
    }

    fn namespace(&self) -> &'static str {
        "/one-to-one"
    }

    fn takes_guests(&self) -> bool {
        false
    }

    fn knows(&self, event: &str, payload: &Value) -> bool {
        match event {
            "chatHistory" | "chatMessage" | "doneTyping" => true,
            // With a `roomId` it is 004's.
            "typing" => payload.get("roomId").is_none(),
            _ => false,
        }
    }

    async fn open(&self, client: Client) -> Result<Box<dyn Conversing>> {
        let Some(session) = &client.session else { return Ok(Box::new(Stranger)) };
        let user = session.user.clone();
        let known = self.everybody.known_to(&client, &user).await;
        let user_list = known.iter().map(UserRow::from).collect();
        let welcome = StoreUsername { username: user.name.as_str(), user_list };
        client.sink.deliver(&Frame::new("storeUsername", &welcome));
        let seat = self.board.enter(&client);
        let (open, typing) = (None, Typing::default());
        Ok(Box::new(OneToOneSocket { client, user, open, typing, _seat: seat }))
    }
}

/// The channel that a socket has open.
struct Open {
    channel: ConversationId,
    reached: Option<Reached>,
    _follow: Follow,
}

/// How far back a socket has paged: so many messages, as of a change of the channel.
#[derive(Clone, Copy)]
struct Reached {
    offset: u32,
    oldest: MessageId,
    head: Seq,
}

impl Reached {
    /// After this page; `None` if that was the end.
    fn after(offset: u32, page: &History) -> Option<Self> {
        let rows = u32::try_from(page.messages.len()).ok()?;
        let oldest = page.messages.first()?.id;
        Some(Self { offset: offset.checked_add(rows)?, oldest, head: page.head })
    }
}

struct OneToOneSocket {
    client: Client,
    user: User,
    open: Option<Open>,
    typing: Typing,
    _seat: Seat,
}

#[async_trait]
impl Conversing for OneToOneSocket {
    async fn handle(&mut self, event: &str, payload: Value) -> Result<Value> {
        // In `chatHistory`, `user` is whom they want to talk with; a `chatMessage` is looked at as a
        // line.
        if !matches!(event, "chatHistory" | "chatMessage") {
            self.is_own(&payload)?;
        }
        match event {
            "chatHistory" => self.history(Ask::parse(&payload)?).await,
            "chatMessage" => self.say(vec![payload]).await.remove(0),
            "typing" => {
                let typist = self.typist()?;
                self.typing.begin(&self.client.ports, typist);
                Ok(json!({"success": true}))
            }
            _ => {
                let typist = self.typist()?;
                self.typing.end(&self.client.ports, &typist);
                Ok(json!({"success": true}))
            }
        }
    }

    fn takes_runs(&self, event: &str) -> bool {
        event == "chatMessage"
    }

    async fn handle_run(&mut self, _: &str, payloads: Vec<Value>) -> Vec<Result<Value>> {
        self.say(payloads).await
    }

    async fn close(&mut self) {
        self.typing.leave();
    }
}

impl OneToOneSocket {
    fn caller(&self) -> Caller {
        Caller::User(self.user.clone())
    }

    /// Refuses what is said in somebody else's name.
    fn is_own(&self, payload: &Value) -> Result<()> {
        speaks_for(&self.user.name, payload, &["user", "username", "author"])
    }

    /// The channel that is open.
    fn channel(&self) -> Result<ConversationId> {
        self.open.as_ref().map(|open| open.channel).ok_or_else(|| {
            ChatError::new(Code::NotJoined, "open a channel first: `chatHistory` with {\"user\"}")
        })
    }

    fn typist(&self) -> Result<Typist> {
        let (name, origin) = (self.user.name.clone(), self.client.key);
        Ok(Typist { conversation: self.channel()?, name, origin })
    }

    /// Opens the named channel, if one is named, and sends a page of it.
    async fn history(&mut self, ask: Ask) -> Result<Value> {
        let channel = match ask.peer.clone() {
            Some(peer) => self.client.ports.chat.open_direct(&self.caller(), peer).await?.id,
            None => self.channel()?,
        };
        let is_open = self.open.as_ref().is_some_and(|open| open.channel == channel);
        if is_open && (ask.peer.is_none() || ask.offset > 0) {
            let former = self.open.as_ref().and_then(|open| open.reached);
            let page = self.send_page(channel, &ask, former).await?;
            if let Some(open) = &mut self.open {
                open.reached = Reached::after(ask.offset, &page);
            }
        } else {
            self.typing.leave();
            // Between the page and the first live message there is neither gap nor repeat.
            self.open = None;
            let page = self.send_page(channel, &ask, None).await?;
            let listener = self.client.listener(&OneToOne);
            let follow = self.client.ports.feed.follow(channel, Some(page.head), listener).await?;
            let reached = Reached::after(ask.offset, &page);
            self.open = Some(Open { channel, reached, _follow: follow });
        }
        Ok(json!({"success": true}))
    }

    async fn send_page(
        &self,
        channel: ConversationId,
        ask: &Ask,
        former: Option<Reached>,
    ) -> Result<History> {
        let page = self.page(channel, ask.offset, former).await?;
        let mut rows: Vec<_> = page.messages.iter().map(HistoryRow::from).collect();
        if !ask.oldest_first {
            rows.reverse();
        }
        self.client.sink.deliver(&Frame::new("chatHistory", &rows));
        Ok(page)
    }

    /// Who pages on from where the former page ended is given what lies before its oldest message:
    /// that reads ten rows, an offset reads all that it skips. Once anything has changed since,
    /// only the offset tells where the page begins.
    async fn page(
        &self,
        channel: ConversationId,
        offset: u32,
        former: Option<Reached>,
    ) -> Result<History> {
        let (chat, caller) = (&self.client.ports.chat, self.caller());
        if let Some(reached) = former.filter(|reached| reached.offset == offset) {
            let span = Span::Before(reached.oldest);
            let page = chat.history(&caller, channel, span, ROWS).await?;
            if page.head == reached.head {
                return Ok(page);
            }
        }
        let span = if offset == 0 { Span::Newest } else { Span::Offset(offset) };
        chat.history(&caller, channel, span, ROWS).await
    }

    async fn say(&self, payloads: Vec<Value>) -> Vec<Result<Value>> {
        let lines = payloads.iter().map(|payload| self.line(payload)).collect();
        run::post(&self.client, lines, |message| {
            Ok(json!({"success": true, "message": ChatMessage::from(message)}))
        })
        .await
    }

    fn line(&self, payload: &Value) -> Result<Line> {
        self.is_own(payload)?;
        let say = Say::parse(payload, &self.client.ports.limits)?;
        let message = NewMessage {
            conversation: self.channel()?,
            text: say.text,
            media: Vec::new(),
            client_id: say.client_id,
            via: Via::OneToOne,
        };
        Ok(Line { who: self.caller(), message })
    }
}
