//! Hop 10 of 10: an event in 003's words, rendered once for all sockets that get it.
//! From the gateway's `feed`; next the client, through `ear.rs`, which adds what differs from
//! socket to socket: whom a chat is for, how many are unread.

use chat_core::{ChangeKind, Event, Fleeting, Frame, Listener, Notice, Render};

use super::wire::{ByUser, Line, OfChat};

/// For sockets of the one who wrote.
const AUTHOR: u8 = 0;

/// For sockets of the one who was written to.
const RECIPIENT: u8 = 1;

/// A chat that `ear.rs` has yet to address; the body is a [`Line`].
pub(super) const LINE: &str = "~chat";

/// The same, edited.
pub(super) const EDITED_LINE: &str = "~edit-chat";

/// The unread of a direct, which `ear.rs` has yet to count; the body is the conversation.
pub(super) const COUNT: &str = "~count";

/// The same, where it may not have changed.
pub(super) const RECOUNT: &str = "~recount";

/// An account was deleted.
pub(super) const USER_LEAVE: &str = "user-leave";

/// 003's words.
#[derive(Clone, Copy, Debug)]
pub struct Messenger;

impl Render for Messenger {
    fn protocol(&self) -> &'static str {
        "messenger"
    }

    fn wording(&self, event: &Event, to: &Listener) -> Option<u8> {
        let Event::Change(change) = event else { return Some(AUTHOR) };
        let is_recipient = match &change.kind {
            ChangeKind::Posted(message) => message.author.user().map(|user| user.id) != to.user,
            ChangeKind::Read { reader, .. } => to.user == Some(reader.id),
            ChangeKind::Edited(_) | ChangeKind::Deleted { .. } | ChangeKind::Void => false,
        };
        let is_sender = matches!(change.kind, ChangeKind::Posted(_))
            && !is_recipient
            && change.origin == Some(to.key);
        // The socket that sent it has the acknowledgement.
        (!is_sender).then_some(if is_recipient { RECIPIENT } else { AUTHOR })
    }

    fn render(&self, event: &Event, wording: u8) -> Vec<Frame> {
        let by = |name: &'static str, user: &chat_core::User| {
            vec![Frame::new(name, &ByUser { user: user.name.as_str() })]
        };
        match event {
            Event::Change(change) => {
                let count = |name| Frame::new(name, &change.conversation.raw());
                match &change.kind {
                    ChangeKind::Posted(message) => {
                        let mut frames = vec![Frame::new(LINE, &Line::from(&**message))];
                        frames.extend((wording == RECIPIENT).then(|| count(COUNT)));
                        frames
                    }
                    ChangeKind::Edited(message) => {
                        vec![Frame::new(EDITED_LINE, &Line::from(&**message))]
                    }
                    ChangeKind::Deleted { message } => {
                        let deleted = OfChat { id: message.0, user: None };
                        vec![Frame::new("delete-chat", &deleted), count(RECOUNT)]
                    }
                    ChangeKind::Read { .. } if wording == RECIPIENT => vec![count(COUNT)],
                    ChangeKind::Read { message, reader, .. } => {
                        let read = OfChat { id: message.0, user: Some(reader.name.as_str()) };
                        vec![Frame::new("read-chat", &read)]
                    }
                    ChangeKind::Void => Vec::new(),
                }
            }
            Event::Notice(Notice::UserRegistered(user)) => by("user-join", user),
            Event::Notice(Notice::UserDeleted(user)) => by(USER_LEAVE, user),
            Event::Fleeting(Fleeting::Online(user)) => by("user-online", user),
            Event::Fleeting(Fleeting::Offline(user)) => by("user-offline", user),
            Event::Notice(_) | Event::Fleeting(_) => Vec::new(),
        }
    }
}
