//! Users, sessions, conversations, messages: the shapes that the rules work on.
//! Wire shapes (JSON, protobuf) and rows are other types, converted where the foreign shape lives.

use secrecy::SecretString;
use time::OffsetDateTime;

use crate::{
    ids::{ConversationId, MessageId, Seq, SessionId, UserId},
    text::{ClientId, MessageText, Username},
};

/// A registered user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    /// Never reused.
    pub id: UserId,
    /// As first typed.
    pub name: Username,
}

/// Who asks. Comes from a session, a token or the guest rule; never from a payload alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Authenticated by session or token.
    User(User),
    /// Known only by a name that no registered user bears.
    Guest(Username),
}

impl Caller {
    /// The name that others see.
    #[must_use]
    pub const fn name(&self) -> &Username {
        match self {
            Self::User(user) => &user.name,
            Self::Guest(name) => name,
        }
    }

    /// The registered user, if it is one.
    #[must_use]
    pub const fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) => Some(user),
            Self::Guest(_) => None,
        }
    }
}

/// Who wrote a message. The same two kinds as [`Caller`], kept for good.
pub type Author = Caller;

/// What somebody shows to be let in.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The session cookie's value.
    Session(SecretString),
    /// A JWT tied to a session.
    Token(SecretString),
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its public half.
    pub id: SessionId,
    /// Whose it is.
    pub user: User,
}

/// A session just begun.
#[derive(Clone, Debug)]
pub struct Login {
    /// The session.
    pub session: Session,
    /// The cookie's value: 256 random bits, shown once.
    pub secret: SecretString,
    /// The JWT tied to it.
    pub token: SecretString,
}

/// Which of the three kinds, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversationKind {
    /// The one lobby.
    Lobby,
    /// 001's conversation, 004's room.
    Room,
    /// 002's channel, 003's conversation-with-user: one per pair of users.
    Direct {
        /// The two, in the order of their ids.
        peers: Box<[User; 2]>,
    },
}

/// A conversation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Lobby, room or direct.
    pub kind: ConversationKind,
    /// `Lobby`, a room's name; empty for a direct.
    pub title: String,
    /// Who made it; `None` for the lobby.
    pub created_by: Option<Username>,
    /// When.
    pub created_at: OffsetDateTime,
    /// The newest change.
    pub head: Seq,
    /// Messages that are there now; deleted ones not counted.
    pub message_count: u64,
}

/// Which client protocol a message came in by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Via {
    /// gRPC, for another service.
    #[default]
    Service,
    /// 000's POST. Its clients relay the same message themselves, so it is not told to them again.
    Tinychat,
    /// 001.
    Conversations,
    /// 002.
    OneToOne,
    /// 003.
    Messenger,
    /// 004.
    Chatto,
}

/// A message as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique everywhere.
    pub id: MessageId,
    /// Where it was posted.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Who wrote it.
    pub author: Author,
    /// The text exactly; empty once the message is deleted.
    pub text: String,
    /// URLs of its media.
    pub media: Vec<String>,
    /// When it was stored.
    pub created_at: OffsetDateTime,
    /// When it was last edited.
    pub edited_at: Option<OffsetDateTime>,
    /// Directs only: has the recipient read it?
    pub is_read: bool,
    /// The key its sender gave it.
    pub client_id: Option<ClientId>,
    /// The protocol that it came in by.
    pub via: Via,
}

/// What it takes to post.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Where to.
    pub conversation: ConversationId,
    /// What.
    pub text: MessageText,
    /// URLs that uploads returned; at most [`MEDIA_MAX`].
    pub media: Vec<String>,
    /// Makes a retry harmless.
    pub client_id: Option<ClientId>,
    /// The protocol that it comes in by.
    pub via: Via,
}

/// Most media of one message, and most files of one upload.
pub const MEDIA_MAX: usize = 4;

/// The user on the other side of a direct, however the client names them.
#[derive(Clone, Debug)]
pub enum Peer {
    /// By name, in any letter case.
    Name(Username),
    /// By id.
    Id(UserId),
}

/// How far somebody has seen a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Up to this message of it.
    Message(MessageId),
    /// What had been stored by then.
    At(OffsetDateTime),
}

/// Which part of a history is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The newest.
    Newest,
    /// The newest of those before this message.
    Before(MessageId),
    /// The oldest of those after this message.
    After(MessageId),
    /// Skip so many of the newest (002 pages by offset).
    Offset(u32),
}

/// A page of history, and where live events take over.
#[derive(Clone, Debug)]
pub struct History {
    /// Oldest first. Deleted messages are not there.
    pub messages: Vec<Message>,
    /// The page shows the conversation as of this change at least: follow the feed after it and
    /// there is neither gap nor repeat.
    pub head: Seq,
    /// When the newest message of the conversation, not only of the page, was posted.
    pub newest_at: Option<OffsetDateTime>,
}

/// A page of users, sorted by name without regard to case.
#[derive(Clone, Debug)]
pub struct UserPage {
    /// The rows.
    pub users: Vec<User>,
    /// Pass it as `after` for the next page; `None` on the last.
    pub next: Option<Username>,
}

/// A page of conversations, newest activity first.
#[derive(Clone, Debug)]
pub struct ConversationPage {
    /// The rows.
    pub conversations: Vec<Conversation>,
    /// Pass it as `after` for the next page; `None` on the last.
    pub next: Option<String>,
}
