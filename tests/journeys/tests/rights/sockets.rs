//! Every event of every protocol, by every kind of caller, on Socket.IO and on plain WebSockets.

use anyhow::{Context, Result};
use chat_core::{
    error::Code,
    rights::{Place, Verb, Who},
};
use dialects::observe::EVENTS;
use harness::{Mailbox, PlainSocket, Refused, SocketIo};
use serde_json::{Value, json};

use crate::{PLACES, SILENCE, Scene, is_of_the_direct, table, text_of};

/// Where the protocol refuses otherwise than the table says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum But {
    Nothing,
    /// It takes no guests.
    ForUsers,
    /// It names its peer, never a conversation: everybody is a member of what they open.
    Own,
    /// Its rooms are no directs: those are not there, for anybody.
    Rooms,
    /// The room must have been joined.
    Joined,
}

use But::{ForUsers, Joined, Nothing, Own, Rooms};

const ROWS: &[(&str, &str, Verb, But)] = &[
    ("tinychat", "send:message", Verb::Relay, Nothing),
    ("conversations", "post", Verb::Post, ForUsers),
    ("one-to-one", "chatHistory", Verb::OpenDirect, Own),
    ("one-to-one", "chatMessage", Verb::Post, Own),
    ("one-to-one", "typing", Verb::Post, Own),
    ("one-to-one", "doneTyping", Verb::Post, Own),
    ("messenger", "fetch-users", Verb::FindUsers, Nothing),
    ("messenger", "fetch-conversation-with-user", Verb::History, Own),
    ("messenger", "fetch-unread-chats-count", Verb::Read, Own),
    ("messenger", "read-chat", Verb::MarkRead, ForUsers),
    ("messenger", "send-message", Verb::Post, Own),
    ("messenger", "edit-chat", Verb::Edit, ForUsers),
    ("messenger", "delete-chat", Verb::Delete, ForUsers),
    ("messenger", "wait-for-user", Verb::FindUsers, Nothing),
    ("messenger", "stop-waiting-for-user", Verb::FindUsers, Nothing),
    ("chatto", "join room", Verb::Read, Rooms),
    ("chatto", "leave room", Verb::Read, Joined),
    ("chatto", "chat message", Verb::Post, Joined),
    ("chatto", "typing", Verb::Post, Joined),
    ("chatto", "create room", Verb::CreateRoom, Nothing),
];

#[test]
fn every_event_is_in_the_table() {
    let known: Vec<_> = ROWS.iter().map(|(protocol, event, ..)| (*protocol, *event)).collect();
    let all = EVENTS.iter().flat_map(|(protocol, events)| events.iter().map(|e| (*protocol, *e)));
    let all: Vec<_> = all.collect();
    for event in &all {
        assert!(known.contains(event), "{event:?} is in no row of the table of rights");
    }
    for event in &known {
        assert!(all.contains(event), "{event:?} is no event");
    }
}

fn expected(verb: Verb, but: But, place: Place, who: Who) -> Result<(), Code> {
    let is_user = !matches!(who, Who::Nobody | Who::Guest);
    match but {
        ForUsers | Own if !is_user => Err(Code::Unauthorised),
        Own => Ok(()),
        Rooms if place == Place::Direct && who != Who::Nobody => Err(Code::NotFound),
        Joined if place == Place::Direct && who != Who::Nobody => Err(Code::NotJoined),
        Nothing | ForUsers | Rooms | Joined => table(verb, place, who),
    }
}

/// What a caller's socket answered.
type Answer = Result<Value, Code>;

/// Reads an acknowledgement of Socket.IO.
fn outcome(ack: &Value) -> Result<Answer> {
    if ack["success"] == false {
        let code = ack["code"].as_str().context("a code")?;
        return Ok(Err(code.parse().ok().with_context(|| format!("a code: {ack}"))?));
    }
    Ok(Ok(ack.clone()))
}

/// What a caller goes by.
struct Named {
    token: Option<String>,
    guest: Option<String>,
}

impl Scene {
    fn named(&self, who: Who) -> Named {
        let token = self.person(who).map(|person| person.token.clone());
        let guest = (who == Who::Guest).then(|| self.arena.unique("guest"));
        Named { token, guest }
    }

    /// Whom this caller talks with where the protocol names the peer: one of those of the direct.
    fn peer(&self, who: Who) -> &str {
        if who == Who::Author { &self.member.name } else { &self.author.name }
    }

    async fn payload(&self, event: &str, place: Place, who: Who, named: &Named) -> Result<Value> {
        let person = self.person(who).map(|person| person.name.clone());
        let me = person.or_else(|| named.guest.clone());
        let room = self.conversation(place);
        let mut payload = match event {
            "send:message" => json!({"author": me, "content": "hi", "timestamp": 1}),
            "chatHistory" => json!({"user": self.peer(who)}),
            "chatMessage" => return Ok(json!("hi")),
            "doneTyping" => return Ok(Value::Null),
            "fetch-users" => return Ok(json!({"limit": 1})),
            "read-chat" | "delete-chat" => return Ok(json!({"id": self.said(place).await?})),
            "edit-chat" => {
                return Ok(json!({"id": self.said(place).await?, "message": "edited"}));
            }
            "send-message" => json!({"user": self.peer(who), "message": "hi"}),
            "create room" => return Ok(json!({"name": self.arena.unique("made")})),
            "join room" => json!({"roomId": room, "user": me, "since": 0}),
            "leave room" => json!({"roomId": room, "user": me}),
            "chat message" => json!({"roomId": room, "user": me, "text": "hi"}),
            "fetch-conversation-with-user"
            | "fetch-unread-chats-count"
            | "wait-for-user"
            | "stop-waiting-for-user" => json!({"user": self.peer(who)}),
            other => anyhow::bail!("{other} is an event that this test does not know"),
        };
        if let Some(fields) = payload.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        Ok(payload)
    }

    /// One event on a Socket.IO socket of its own.
    async fn emits(
        &self,
        protocol: &str,
        event: &str,
        place: Place,
        who: Who,
    ) -> Result<(Answer, String)> {
        let named = self.named(who);
        let mut knock = self.arena.gateway(1);
        if protocol == "messenger" {
            knock = knock.path("/ws").namespace("/chat");
        }
        if let Some(token) = &named.token {
            knock = knock.token(token);
        }
        let socket = match knock.enters().await {
            Ok(socket) => socket,
            Err(Refused::ConnectError(_)) => return Ok((Err(Code::Unauthorised), String::new())),
            Err(other) => return Err(other.into()),
        };
        if protocol == "messenger" && named.token.is_none() {
            // It is told so, and closed (refusals.rs of its journeys).
            socket.hears("auth-failed", |_| true).await?;
            return Ok((Err(Code::Unauthorised), heard(&socket)));
        }
        self.prepares(&socket, protocol, event, place, who, &named).await?;
        let payload = match (protocol, event) {
            ("one-to-one", "typing") => Value::Null,
            ("chatto", "typing") => {
                let mut place = self.payload("leave room", place, who, &named).await?;
                place["typing"] = json!(true);
                place
            }
            _ => self.payload(event, place, who, &named).await?,
        };
        let ack = socket.asks(event, payload).await?;
        let all = heard(&socket) + &ack.to_string();
        Ok((outcome(&ack)?, all))
    }

    /// What has to come before the event; where it is refused, that is not what is asked here.
    async fn prepares(
        &self,
        socket: &SocketIo,
        protocol: &str,
        event: &str,
        place: Place,
        who: Who,
        named: &Named,
    ) -> Result<()> {
        let before = match (protocol, event) {
            ("chatto", "leave room" | "chat message" | "typing") => "join room",
            ("one-to-one", "chatMessage" | "typing" | "doneTyping") => "chatHistory",
            _ => return Ok(()),
        };
        let payload = self.payload(before, place, who, named).await?;
        socket.asks(before, payload).await.map(drop)
    }

    /// The same event as a frame of 003's plain WebSocket.
    async fn frames(&self, event: &str, place: Place, who: Who) -> Result<(Answer, String)> {
        let named = self.named(who);
        let token = named.token.as_deref().unwrap_or_default();
        let url = format!("{}/ws?token={token}", self.arena.stack.urls().gateway(2));
        let socket = PlainSocket::open("plain", &url, &[]).await?;
        let data = self.payload(event, place, who, &named).await?;
        socket.sends(&json!({"event": event, "data": data, "id": 1}));
        if named.token.is_none() {
            socket.sees_the_end().await?;
            return Ok((Err(Code::Unauthorised), heard(&socket)));
        }
        let answer = socket.hears(event, |frame| frame["id"] == 1).await?;
        let code = answer["error"]["code"].as_str().map(str::parse::<Code>);
        let outcome = match code {
            None => Ok(answer),
            Some(code) => Err(code.ok().context("a code")?),
        };
        Ok((outcome, heard(&socket)))
    }

    /// 001's WebSocket: who is let in, may post.
    async fn posts_in_001(&self, place: Place, who: Who) -> Result<(Answer, String)> {
        let named = self.named(who);
        let token = named.token.map(|token| format!("&token={token}")).unwrap_or_default();
        let (gateway, room) = (self.arena.stack.urls().gateway(1), self.conversation(place));
        // As far back as one can ask.
        let url = format!("{gateway}/ws/conversations/{room}?since=0{token}");
        let socket = match PlainSocket::open("live", &url, &[]).await {
            Ok(socket) => socket,
            Err(Refused::Http { status: 401, .. }) => {
                return Ok((Err(Code::Unauthorised), String::new()));
            }
            Err(Refused::Http { status: 404, .. }) => {
                return Ok((Err(Code::NotFound), String::new()));
            }
            Err(other) => return Err(other.into()),
        };
        socket.sends(&json!({"text": "hi"}));
        let posted = socket.hears("posted", |_| true).await?;
        Ok((Ok(posted), heard(&socket)))
    }
}

fn heard(mailbox: &Mailbox) -> String {
    let all: Vec<_> = mailbox.everything().into_iter().map(|heard| heard.data).collect();
    text_of(&all)
}

#[tokio::test]
async fn every_event_answers_every_caller_as_the_table_says() -> Result<()> {
    let scene = Scene::set().await?;
    for &(protocol, event, verb, but) in ROWS {
        for place in PLACES {
            // What is said in rooms is no chat of 003: its ids are of directs.
            if place == Place::Open && matches!(event, "edit-chat" | "delete-chat") {
                continue;
            }
            for &who in Who::ALL {
                if who == Who::Service {
                    continue;
                }
                let what = format!("{protocol} {event} {place:?} {who:?}");
                let mut answers = Vec::new();
                if protocol == "conversations" {
                    answers.push(scene.posts_in_001(place, who).await.context(what.clone())?);
                } else {
                    let answer = scene.emits(protocol, event, place, who).await;
                    answers.push(answer.context(what.clone())?);
                }
                if protocol == "messenger" {
                    answers.push(scene.frames(event, place, who).await.context(what.clone())?);
                }
                for (answer, heard) in answers {
                    let code = answer.as_ref().map(drop).map_err(|code| *code);
                    let expected = expected(verb, but, place, who);
                    if who == Who::Nobody && expected.is_err() {
                        // Nobody is told to log in, or else to say by which name they go.
                        let fits = [Code::Unauthorised, Code::InvalidPayload, Code::NotJoined];
                        assert!(code.is_err_and(|code| fits.contains(&code)), "{what}: {answer:?}");
                    } else {
                        assert_eq!(code, expected, "{what}: {answer:?}");
                    }
                    if !is_of_the_direct(who) && place == Place::Direct {
                        scene.gives_nothing_away(&what, &heard);
                    }
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_services_token_opens_no_socket() -> Result<()> {
    let scene = Scene::set().await?;
    let token = &scene.service_token;
    for (path, namespace) in [
        ("/socket.io", "/"),
        ("/socket.io", "/tinychat"),
        ("/socket.io", "/one-to-one"),
        ("/socket.io", "/chatto"),
    ] {
        let knock = scene.arena.gateway(1).path(path).namespace(namespace).token(token);
        let refused = knock.enters().await;
        assert!(matches!(refused, Err(Refused::ConnectError(_))), "{namespace}: {refused:?}");
    }
    let chat = scene.arena.gateway(1).path("/ws").namespace("/chat").token(token).enters().await;
    if let Ok(socket) = chat {
        socket.hears("auth-failed", |_| true).await?;
        socket.sees_the_end().await?;
    }
    let gateway = scene.arena.stack.urls().gateway(1);
    let url = format!("{gateway}/ws/conversations/lobby?token={token}").replace(' ', "%20");
    let refused = PlainSocket::open("live", &url, &[]).await;
    assert!(matches!(refused, Err(Refused::Http { status: 401, .. })), "{refused:?}");
    let url = format!("{gateway}/ws?token={token}").replace(' ', "%20");
    PlainSocket::open("plain", &url, &[]).await?.sees_the_end().await?;
    Ok(())
}

/// Everything that a stranger can have a socket listen to, while two talk in a direct.
#[tokio::test]
async fn a_stranger_hears_nothing_of_a_direct_on_any_socket() -> Result<()> {
    let scene = Scene::set().await?;
    let (arena, token) = (scene.arena, &scene.stranger.token);
    let (stranger, author) = (&scene.stranger.name, &scene.author.name);
    let shared = arena.gateway(1).token(token).enters().await?;
    shared.asks("join room", json!({"roomId": scene.direct, "user": stranger})).await?;
    let since = json!({"roomId": scene.direct, "user": stranger, "since": 0});
    shared.asks("join room", since).await?;
    shared.asks("chatHistory", json!({"user": author})).await?;
    let chat = arena.gateway(2).path("/ws").namespace("/chat").token(token).enters().await?;
    for name in [author, &scene.member.name] {
        chat.asks("wait-for-user", json!({"user": name})).await?;
        chat.asks("fetch-conversation-with-user", json!({"user": name})).await?;
    }
    let plain = format!("{}/ws?token={token}", arena.stack.urls().gateway(2));
    let plain = PlainSocket::open("plain", &plain, &[]).await?;
    plain.sends(&json!({"event": "wait-for-user", "data": {"user": author}, "id": 1}));
    plain.hears("wait-for-user", |_| true).await?;
    let guest = arena.gateway(2).enters().await?;
    guest.asks("join room", json!({"roomId": scene.direct, "user": arena.unique("g")})).await?;

    // They talk, type, edit, read and delete, by every protocol that has directs.
    let (one, other) = (&scene.author, &scene.member);
    let ones = arena.gateway(1).token(&one.token).enters().await?;
    let others = arena.gateway(2).token(&other.token).enters().await?;
    ones.asks("chatHistory", json!({"user": other.name})).await?;
    others.asks("chatHistory", json!({"user": one.name})).await?;
    ones.asks("typing", Value::Null).await?;
    let text = format!("{} live", scene.secret);
    ones.asks("chatMessage", text.as_str()).await?;
    others.hears("chatMessage", |message| message["msg"] == *text).await?;
    let id = scene.said(Place::Direct).await?;
    let row = format!("/api/conversations/{}/{id}", scene.direct);
    let edit = json!({"text": format!("{} edited", scene.secret)});
    let request = one.http.request(reqwest::Method::PATCH, &row)?.json(&edit);
    one.http.send(request).await?.expect(200)?;
    let reader =
        arena.gateway(1).path("/ws").namespace("/chat").token(&other.token).enters().await?;
    reader.asks("read-chat", json!({"id": id})).await?;
    one.http.delete(&row).await?.expect(200)?;
    reader.hears("delete-chat", |told| told["id"] == id).await?;

    for (what, mailbox) in
        [("shared", &*shared), ("003", &*chat), ("plain", &*plain), ("guest", &*guest)]
    {
        for event in ["typing", "doneTyping", "chat", "read-chat", "edit-chat", "delete-chat"] {
            mailbox.hears_nothing(event, SILENCE / 4).await.context(what)?;
        }
        scene.gives_nothing_away(what, &heard(mailbox));
        assert!(!heard(mailbox).contains(&format!("\"{id}\"")), "{what}");
    }
    Ok(())
}
