//! The words of the chat, shared by everything else.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`] | ids of users, conversations, messages, sessions; the per-conversation `seq` |
//! | [`text`], [`title`] | what people type, checked once: names, message texts, idempotency keys, rooms' titles |
//! | [`model`] | users, sessions, conversations, messages |
//! | [`event`] | what happened: durable changes, notices, fleeting events, and the topics they travel on |
//! | [`chat`] | the port `Chat`: ask |
//! | [`feed`] | the port `Feed`: hear |
//! | [`roster`] | who is online |
//! | [`media`] | the port `Media`: keep files |
//! | [`inbox`] | somebody's list of conversations, with what is unread |
//! | [`rights`] | who may do what, in one place |
//! | [`error`] | the one error, and its table of statuses |
//! | [`trace`] | spans of traces, made only where they are kept |
//! | [`process`] | configuration, shutdown: what every service's `main` needs |
//!
//! This crate knows no HTTP framework, no SQL and no Redis.

pub mod chat;
pub mod clock;
pub mod error;
pub mod event;
pub mod feed;
pub mod ids;
pub mod inbox;
pub mod media;
pub mod model;
pub mod process;
pub mod rights;
pub mod roster;
pub mod text;
pub mod title;
pub mod trace;

pub use chat::Chat;
pub use error::{ChatError, Code, Result};
pub use event::{Change, ChangeKind, Event, Fleeting, Notice, Topic};
pub use feed::{CloseReason, Feed, Follow, Frame, Listener, Render, Sink};
pub use ids::{ConversationId, MessageId, Seq, SessionId, SocketKey, UserId};
pub use inbox::Inbox;
pub use media::Media;
pub use model::{
    Author, Caller, Conversation, ConversationKind, Credential, Login, Message, Session, User, Via,
};
pub use roster::Roster;
pub use text::{ClientId, Limits, MessageText, Password, Username};
pub use title::Title;
