//! Model ⇄ protobuf. Into protobuf always works (`From`); out of it is parsed (`TryFrom`), since
//! another service may have sent anything.

use std::time::Duration;

use chat_core::{
    Author, Change, ChangeKind, ChatError, ClientId, Conversation, ConversationId,
    ConversationKind, Event, Fleeting, Inbox, Login, Message, MessageId, Notice, Seq, Session,
    SessionId, SocketKey, User, UserId, Username, Via, clock,
    inbox::{InboxRow, LastMessage},
};
pub use prost_types::Timestamp;

use crate::v1;

type Result<T> = std::result::Result<T, ChatError>;

/// A required field, or the refusal that names it.
pub fn required<T>(field: Option<T>, name: &'static str) -> Result<T> {
    field.ok_or_else(|| ChatError::invalid_payload(format!("{name} is missing")))
}

/// A moment, as protobuf has it.
#[must_use]
pub fn timestamp(at: time::OffsetDateTime) -> Timestamp {
    Timestamp { seconds: at.unix_timestamp(), nanos: at.nanosecond().cast_signed() }
}

/// A moment, to the millisecond.
#[must_use]
pub fn instant(at: Timestamp) -> time::OffsetDateTime {
    clock::from_millis(at.seconds.saturating_mul(1_000) + i64::from(at.nanos) / 1_000_000)
}

impl From<&User> for v1::User {
    fn from(user: &User) -> Self {
        Self { id: user.id.0, name: user.name.to_string() }
    }
}

impl TryFrom<v1::User> for User {
    type Error = ChatError;

    fn try_from(user: v1::User) -> Result<Self> {
        Ok(Self { id: UserId(user.id), name: Username::parse(&user.name)? })
    }
}

impl From<&Author> for v1::Party {
    fn from(author: &Author) -> Self {
        let kind = match author {
            Author::User(user) => v1::party::Kind::User(user.into()),
            Author::Guest(name) => v1::party::Kind::Guest(name.to_string()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Party> for Author {
    type Error = ChatError;

    fn try_from(party: v1::Party) -> Result<Self> {
        Ok(match required(party.kind, "caller")? {
            v1::party::Kind::User(user) => Self::User(user.try_into()?),
            v1::party::Kind::Guest(name) => Self::Guest(Username::parse(&name)?),
        })
    }
}

impl From<&Session> for v1::Session {
    fn from(session: &Session) -> Self {
        Self { id: session.id.as_str().to_owned(), user: Some((&session.user).into()) }
    }
}

impl TryFrom<v1::Session> for Session {
    type Error = ChatError;

    fn try_from(session: v1::Session) -> Result<Self> {
        Ok(Self {
            id: session_id(&session.id)?,
            user: required(session.user, "session.user")?.try_into()?,
        })
    }
}

/// A session's id.
pub fn session_id(raw: &str) -> Result<SessionId> {
    required(SessionId::parse(raw), "a valid session_id")
}

impl From<&Login> for v1::Login {
    fn from(login: &Login) -> Self {
        use secrecy::ExposeSecret;
        Self {
            session: Some((&login.session).into()),
            secret: login.secret.expose_secret().to_owned(),
            token: login.token.expose_secret().to_owned(),
        }
    }
}

impl TryFrom<v1::Login> for Login {
    type Error = ChatError;

    fn try_from(login: v1::Login) -> Result<Self> {
        Ok(Self {
            session: required(login.session, "login.session")?.try_into()?,
            secret: login.secret.into(),
            token: login.token.into(),
        })
    }
}

impl From<&Conversation> for v1::Conversation {
    fn from(conversation: &Conversation) -> Self {
        let (kind, peers) = match &conversation.kind {
            ConversationKind::Lobby => (v1::ConversationKind::Lobby, Vec::new()),
            ConversationKind::Room => (v1::ConversationKind::Room, Vec::new()),
            ConversationKind::Direct { peers } => {
                (v1::ConversationKind::Direct, peers.iter().map(Into::into).collect())
            }
        };
        Self {
            id: conversation.id.to_string(),
            kind: kind.into(),
            title: conversation.title.clone(),
            created_by: conversation
                .created_by
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            created_at: Some(timestamp(conversation.created_at)),
            head: conversation.head.0,
            message_count: conversation.message_count,
            peers,
        }
    }
}

impl TryFrom<v1::Conversation> for Conversation {
    type Error = ChatError;

    fn try_from(c: v1::Conversation) -> Result<Self> {
        let kind = match c.kind() {
            v1::ConversationKind::Lobby => ConversationKind::Lobby,
            v1::ConversationKind::Room => ConversationKind::Room,
            v1::ConversationKind::Direct => ConversationKind::Direct { peers: pair(c.peers)? },
            v1::ConversationKind::Unspecified => return required(None, "conversation.kind"),
        };
        Ok(Self {
            id: c.id.parse()?,
            kind,
            title: c.title,
            created_by: (!c.created_by.is_empty())
                .then(|| Username::parse(&c.created_by))
                .transpose()?,
            created_at: instant(required(c.created_at, "conversation.created_at")?),
            head: Seq(c.head),
            message_count: c.message_count,
        })
    }
}

fn pair(peers: Vec<v1::User>) -> Result<Box<[User; 2]>> {
    let users = peers.into_iter().map(User::try_from).collect::<Result<Vec<_>>>()?;
    let pair: Option<[User; 2]> = users.try_into().ok();
    required(pair, "a direct's two peers").map(Box::new)
}

impl From<Via> for v1::Via {
    fn from(via: Via) -> Self {
        match via {
            Via::Service => Self::Unspecified,
            Via::Tinychat => Self::Tinychat,
            Via::Conversations => Self::Conversations,
            Via::OneToOne => Self::OneToOne,
            Via::Messenger => Self::Messenger,
            Via::Chatto => Self::Chatto,
        }
    }
}

impl From<v1::Via> for Via {
    fn from(via: v1::Via) -> Self {
        match via {
            v1::Via::Unspecified => Self::Service,
            v1::Via::Tinychat => Self::Tinychat,
            v1::Via::Conversations => Self::Conversations,
            v1::Via::OneToOne => Self::OneToOne,
            v1::Via::Messenger => Self::Messenger,
            v1::Via::Chatto => Self::Chatto,
        }
    }
}

impl From<&Message> for v1::Message {
    fn from(message: &Message) -> Self {
        Self {
            id: message.id.0,
            conversation: message.conversation.to_string(),
            seq: message.seq.0,
            author: Some((&message.author).into()),
            text: message.text.clone(),
            media: message.media.clone(),
            created_at: Some(timestamp(message.created_at)),
            edited_at: message.edited_at.map(timestamp),
            is_read: message.is_read,
            client_id: message
                .client_id
                .as_ref()
                .map(|id| id.as_str().to_owned())
                .unwrap_or_default(),
            via: v1::Via::from(message.via).into(),
        }
    }
}

impl TryFrom<v1::Message> for Message {
    type Error = ChatError;

    fn try_from(m: v1::Message) -> Result<Self> {
        let via = m.via().into();
        Ok(Self {
            id: MessageId(m.id),
            conversation: m.conversation.parse()?,
            seq: Seq(m.seq),
            author: required(m.author, "message.author")?.try_into()?,
            text: m.text,
            media: m.media,
            created_at: instant(required(m.created_at, "message.created_at")?),
            edited_at: m.edited_at.map(instant),
            is_read: m.is_read,
            client_id: client_id(&m.client_id)?,
            via,
        })
    }
}

impl From<&Inbox> for v1::GetInboxResponse {
    fn from(inbox: &Inbox) -> Self {
        Self {
            rooms: inbox.rooms.iter().map(Into::into).collect(),
            directs: inbox.directs.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::GetInboxResponse> for Inbox {
    type Error = ChatError;

    fn try_from(inbox: v1::GetInboxResponse) -> Result<Self> {
        let rows = |rows: Vec<v1::InboxRow>| -> Result<Vec<_>> {
            rows.into_iter().map(InboxRow::try_from).collect()
        };
        Ok(Self { rooms: rows(inbox.rooms)?, directs: rows(inbox.directs)? })
    }
}

impl From<&InboxRow> for v1::InboxRow {
    fn from(row: &InboxRow) -> Self {
        Self {
            conversation: Some((&row.conversation).into()),
            unread: row.unread,
            last: row.last.as_ref().map(Into::into),
            seen: row.seen,
        }
    }
}

impl TryFrom<v1::InboxRow> for InboxRow {
    type Error = ChatError;

    fn try_from(row: v1::InboxRow) -> Result<Self> {
        Ok(Self {
            conversation: required(row.conversation, "row.conversation")?.try_into()?,
            unread: row.unread,
            last: row.last.map(TryInto::try_into).transpose()?,
            seen: row.seen,
        })
    }
}

impl From<&LastMessage> for v1::LastMessage {
    fn from(last: &LastMessage) -> Self {
        Self {
            message_id: last.id.0,
            author: Some((&last.author).into()),
            text: last.text.clone(),
            created_at: Some(timestamp(last.created_at)),
        }
    }
}

impl TryFrom<v1::LastMessage> for LastMessage {
    type Error = ChatError;

    fn try_from(last: v1::LastMessage) -> Result<Self> {
        Ok(Self {
            id: MessageId(last.message_id),
            author: required(last.author, "last.author")?.try_into()?,
            text: last.text,
            created_at: instant(required(last.created_at, "last.created_at")?),
        })
    }
}

/// An optional idempotency key: empty means none.
pub fn client_id(raw: &str) -> Result<Option<ClientId>> {
    (!raw.is_empty()).then(|| ClientId::parse(raw)).transpose()
}

impl From<SocketKey> for v1::SocketKey {
    fn from(key: SocketKey) -> Self {
        Self { gateway: key.gateway, number: key.number }
    }
}

impl From<v1::SocketKey> for SocketKey {
    fn from(key: v1::SocketKey) -> Self {
        Self { gateway: key.gateway, number: key.number }
    }
}

impl From<&Change> for v1::Change {
    fn from(change: &Change) -> Self {
        use v1::change::Kind;
        let kind = match &change.kind {
            ChangeKind::Posted(message) => Kind::Posted((&**message).into()),
            ChangeKind::Edited(message) => Kind::Edited((&**message).into()),
            ChangeKind::Deleted { message } => {
                Kind::Deleted(v1::MessageDeleted { message_id: message.0 })
            }
            ChangeKind::Read { message, author, reader } => Kind::Read(v1::MessageRead {
                message_id: message.0,
                author_id: author.0,
                reader: Some(reader.into()),
            }),
            ChangeKind::Void => Kind::Void(v1::MessageVoid {}),
        };
        Self {
            conversation: change.conversation.to_string(),
            seq: change.seq.0,
            origin: change.origin.map(Into::into),
            kind: Some(kind),
        }
    }
}

impl TryFrom<v1::Change> for Change {
    type Error = ChatError;

    fn try_from(change: v1::Change) -> Result<Self> {
        use v1::change::Kind;
        let kind = match required(change.kind, "change.kind")? {
            Kind::Posted(message) => ChangeKind::Posted(Box::new(message.try_into()?)),
            Kind::Edited(message) => ChangeKind::Edited(Box::new(message.try_into()?)),
            Kind::Deleted(d) => ChangeKind::Deleted { message: MessageId(d.message_id) },
            Kind::Read(read) => ChangeKind::Read {
                message: MessageId(read.message_id),
                author: UserId(read.author_id),
                reader: required(read.reader, "read.reader")?.try_into()?,
            },
            Kind::Void(_) => ChangeKind::Void,
        };
        Ok(Self {
            conversation: change.conversation.parse()?,
            seq: Seq(change.seq),
            origin: change.origin.map(Into::into),
            kind,
        })
    }
}

impl From<&Event> for v1::Event {
    fn from(event: &Event) -> Self {
        use v1::event::Kind;
        let kind = match event {
            Event::Change(change) => Kind::Change(change.into()),
            Event::Notice(notice) => Kind::Notice(notice.into()),
            Event::Fleeting(fleeting) => Kind::Fleeting(fleeting.into()),
        };
        Self { kind: Some(kind), ..Self::default() }
    }
}

impl TryFrom<v1::Event> for Event {
    type Error = ChatError;

    fn try_from(event: v1::Event) -> Result<Self> {
        use v1::event::Kind;
        Ok(match required(event.kind, "event.kind")? {
            Kind::Change(change) => Self::Change(change.try_into()?),
            Kind::Notice(notice) => Self::Notice(notice.try_into()?),
            Kind::Fleeting(fleeting) => Self::Fleeting(fleeting.try_into()?),
        })
    }
}

impl From<&Notice> for v1::Notice {
    fn from(notice: &Notice) -> Self {
        use v1::notice::Kind;
        let kind = match notice {
            Notice::RoomCreated(room) => Kind::RoomCreated((&**room).into()),
            Notice::UserRegistered(user) => Kind::UserRegistered(user.into()),
            Notice::UserDeleted(user) => Kind::UserDeleted(user.into()),
            Notice::SessionEnded(id) => Kind::SessionEnded(id.as_str().to_owned()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Notice> for Notice {
    type Error = ChatError;

    fn try_from(notice: v1::Notice) -> Result<Self> {
        use v1::notice::Kind;
        Ok(match required(notice.kind, "notice.kind")? {
            Kind::RoomCreated(room) => Self::RoomCreated(Box::new(room.try_into()?)),
            Kind::UserRegistered(user) => Self::UserRegistered(user.try_into()?),
            Kind::UserDeleted(user) => Self::UserDeleted(user.try_into()?),
            Kind::SessionEnded(id) => Self::SessionEnded(session_id(&id)?),
        })
    }
}

fn presence(
    conversation: ConversationId,
    name: &Username,
    origin: Option<SocketKey>,
) -> v1::RoomPresence {
    v1::RoomPresence {
        conversation: conversation.to_string(),
        name: name.to_string(),
        origin: origin.map(Into::into),
        ago_us: 0,
    }
}

impl From<&Fleeting> for v1::Fleeting {
    fn from(fleeting: &Fleeting) -> Self {
        use v1::fleeting::Kind;
        let kind = match fleeting {
            Fleeting::Typing { conversation, name, origin } => {
                Kind::Typing(presence(*conversation, name, Some(*origin)))
            }
            Fleeting::StoppedTyping { conversation, name, origin } => {
                Kind::StoppedTyping(presence(*conversation, name, Some(*origin)))
            }
            Fleeting::Entered { conversation, name, origin, ago } => {
                let ago_us = u64::try_from(ago.as_micros()).unwrap_or(u64::MAX);
                let presence = presence(*conversation, name, Some(*origin));
                Kind::Entered(v1::RoomPresence { ago_us, ..presence })
            }
            Fleeting::Left { conversation, name } => {
                Kind::Left(presence(*conversation, name, None))
            }
            Fleeting::MayHaveLeft { conversation, name } => {
                Kind::MayHaveLeft(presence(*conversation, name, None))
            }
            Fleeting::Online(user) => Kind::Online(user.into()),
            Fleeting::Offline(user) => Kind::Offline(user.into()),
            Fleeting::Relayed { body, origin } => Kind::Relayed(v1::Relayed {
                body: body.to_string(),
                origin: Some((*origin).into()),
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Fleeting> for Fleeting {
    type Error = ChatError;

    fn try_from(fleeting: v1::Fleeting) -> Result<Self> {
        use v1::fleeting::Kind;
        let origin = |origin: Option<v1::SocketKey>| {
            required(origin, "fleeting.origin").map(SocketKey::from)
        };
        let in_room = |presence: v1::RoomPresence| -> Result<_> {
            let name = Username::parse(&presence.name)?;
            Ok((presence.conversation.parse()?, name, presence.origin))
        };
        Ok(match required(fleeting.kind, "fleeting.kind")? {
            Kind::Typing(presence) => {
                let (conversation, name, from) = in_room(presence)?;
                Self::Typing { conversation, name, origin: origin(from)? }
            }
            Kind::StoppedTyping(presence) => {
                let (conversation, name, from) = in_room(presence)?;
                Self::StoppedTyping { conversation, name, origin: origin(from)? }
            }
            Kind::Entered(presence) => {
                let ago = Duration::from_micros(presence.ago_us);
                let (conversation, name, from) = in_room(presence)?;
                Self::Entered { conversation, name, origin: origin(from)?, ago }
            }
            Kind::Left(presence) => {
                let (conversation, name, _) = in_room(presence)?;
                Self::Left { conversation, name }
            }
            Kind::MayHaveLeft(presence) => {
                let (conversation, name, _) = in_room(presence)?;
                Self::MayHaveLeft { conversation, name }
            }
            Kind::Online(user) => Self::Online(user.try_into()?),
            Kind::Offline(user) => Self::Offline(user.try_into()?),
            Kind::Relayed(relayed) => {
                Self::Relayed { body: relayed.body.into(), origin: origin(relayed.origin)? }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use chat_core::ids::SocketKey;

    use super::*;

    fn message() -> Message {
        Message {
            id: MessageId(9),
            conversation: ConversationId::LOBBY,
            seq: Seq(3),
            author: Author::Guest(Username::parse("guest").expect("a name")),
            text: "hi \0 👋".into(),
            media: vec!["/media/1".into()],
            created_at: clock::now(),
            edited_at: Some(clock::now()),
            is_read: true,
            client_id: Some(ClientId::parse("key").expect("a key")),
            via: Via::Messenger,
        }
    }

    #[test]
    fn every_event_survives_the_trip() {
        let user = User { id: UserId(1), name: Username::parse("alice").expect("a name") };
        let origin = SocketKey { gateway: u64::MAX, number: 2 };
        let conversation = ConversationId::random();
        let room = Conversation {
            id: conversation,
            kind: ConversationKind::Direct { peers: Box::new([user.clone(), user.clone()]) },
            title: "a room".into(),
            created_by: Some(user.name.clone()),
            created_at: clock::now(),
            head: Seq(2),
            message_count: 1,
        };
        let read =
            ChangeKind::Read { message: MessageId(1), author: UserId(2), reader: user.clone() };
        let kinds = [
            ChangeKind::Posted(Box::new(message())),
            ChangeKind::Edited(Box::new(message())),
            ChangeKind::Deleted { message: MessageId(4) },
            read,
            ChangeKind::Void,
        ];
        let changes = kinds.map(|kind| {
            Event::Change(Change { conversation, seq: Seq(7), origin: Some(origin), kind })
        });
        let name = user.name.clone();
        let others = [
            Event::Notice(Notice::RoomCreated(Box::new(room))),
            Event::Notice(Notice::UserRegistered(user.clone())),
            Event::Notice(Notice::UserDeleted(user.clone())),
            Event::Fleeting(Fleeting::Online(user.clone())),
            Event::Fleeting(Fleeting::Offline(user)),
            Event::Fleeting(Fleeting::Relayed { body: "{}".into(), origin }),
            Event::Fleeting(Fleeting::StoppedTyping { conversation, name: name.clone(), origin }),
            Event::Notice(Notice::SessionEnded(SessionId::of_secret("x"))),
            Event::Fleeting(Fleeting::Typing { conversation, name: name.clone(), origin }),
            Event::Fleeting(Fleeting::Entered {
                conversation,
                name: name.clone(),
                origin,
                ago: Duration::from_micros(7),
            }),
            Event::Fleeting(Fleeting::Left { conversation, name: name.clone() }),
            Event::Fleeting(Fleeting::MayHaveLeft { conversation, name }),
        ];
        for event in changes.into_iter().chain(others) {
            assert_eq!(Event::try_from(v1::Event::from(&event)), Ok(event));
        }
    }

    #[test]
    fn an_inbox_survives_the_trip() {
        let room = Conversation {
            id: ConversationId::LOBBY,
            kind: ConversationKind::Lobby,
            title: "Lobby".into(),
            created_by: None,
            created_at: clock::now(),
            head: Seq(9),
            message_count: 4,
        };
        let last = LastMessage {
            id: MessageId(7),
            author: message().author,
            text: "hi 👋".into(),
            created_at: clock::now(),
        };
        let peers = [1, 2].map(|id| User { id: UserId(id), name: message().author.name().clone() });
        let direct = Conversation {
            kind: ConversationKind::Direct { peers: Box::new(peers) },
            ..room.clone()
        };
        let inbox = Inbox {
            rooms: vec![InboxRow { conversation: room, unread: 100, seen: true, last: Some(last) }],
            directs: vec![InboxRow { conversation: direct, unread: 3, seen: false, last: None }],
        };
        assert_eq!(Inbox::try_from(v1::GetInboxResponse::from(&inbox)), Ok(inbox));
        let nowhere = v1::InboxRow::default();
        let error = InboxRow::try_from(nowhere).expect_err("refused");
        assert!(error.message().contains("row.conversation"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Event::try_from(v1::Event::default()).expect_err("refused");
        assert!(error.message().contains("event.kind"), "{error}");
    }
}
