//! What happened, as it travels from message-api and gateways to every gateway that cares.

use std::{fmt, time::Duration};

use crate::{
    ids::{ConversationId, MessageId, Seq, SessionId, SocketKey, UserId},
    model::{Conversation, Message, User},
    text::Username,
};

/// Where an event is published and who hears it. A gateway hears only the topics it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Everything of one conversation.
    Conversation(ConversationId),
    /// What concerns one user, whichever conversation.
    User(UserId),
    /// What concerns every gateway.
    Everyone,
    /// Who comes online and who goes offline.
    Online,
    /// 000's relay: what its clients send each other beside the store.
    Relay,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation(id) => write!(f, "conversation:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Everyone => f.write_str("everyone"),
            Self::Online => f.write_str("online"),
            Self::Relay => f.write_str("relay"),
        }
    }
}

impl Topic {
    /// The inverse of `Display`.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        match raw.split_once(':') {
            Some(("conversation", id)) => id.parse().ok().map(Self::Conversation),
            Some(("user", id)) => id.parse().ok().map(Self::User),
            None if raw == "everyone" => Some(Self::Everyone),
            None if raw == "online" => Some(Self::Online),
            None if raw == "relay" => Some(Self::Relay),
            _ => None,
        }
    }
}

/// Anything that can reach a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Durable, ordered within its conversation, repaired when lost.
    Change(Change),
    /// Durable, but of no conversation.
    Notice(Notice),
    /// Fleeting: may be lost, is dropped first.
    Fleeting(Fleeting),
}

/// One durable change of a conversation. Every `seq` from 1 to the head has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose change.
    pub conversation: ConversationId,
    /// Its place.
    pub seq: Seq,
    /// The socket that caused it, when the change is fresh from the bus; unknown after a repair.
    pub origin: Option<SocketKey>,
    /// What changed.
    pub kind: ChangeKind,
}

/// What changed in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A message was posted.
    Posted(Box<Message>),
    /// A message was edited: as it stands now.
    Edited(Box<Message>),
    /// A message was deleted.
    Deleted {
        /// Which.
        message: MessageId,
    },
    /// The recipient of a direct message read it.
    Read {
        /// Which.
        message: MessageId,
        /// Who wrote it.
        author: UserId,
        /// Who read it.
        reader: User,
    },
    /// Stands at the place of a post that has been deleted since; nobody hears it.
    Void,
}

/// Something durable that belongs to no conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A room was made.
    RoomCreated(Box<Conversation>),
    /// An account was registered.
    UserRegistered(User),
    /// An account was deleted.
    UserDeleted(User),
    /// A session ended: its sockets close.
    SessionEnded(SessionId),
}

/// Something that matters only now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fleeting {
    /// Somebody is typing.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        name: Username,
        /// Whose own socket does not hear it.
        origin: SocketKey,
    },
    /// Somebody has stopped typing.
    StoppedTyping {
        /// Where.
        conversation: ConversationId,
        /// Who.
        name: Username,
        /// Whose own socket does not hear it.
        origin: SocketKey,
    },
    /// A user's first socket entered a room.
    Entered {
        /// Which room.
        conversation: ConversationId,
        /// Who.
        name: Username,
        /// Whose own socket does not hear it.
        origin: SocketKey,
        /// How long ago, if this is said again because Redis forgot it; else nothing.
        ago: Duration,
    },
    /// A user's last socket left a room.
    Left {
        /// Which room.
        conversation: ConversationId,
        /// Who.
        name: Username,
    },
    /// A user's last known socket left a room while presence was being rebuilt: another may be
    /// known in a moment. No client hears of it.
    MayHaveLeft {
        /// Which room.
        conversation: ConversationId,
        /// Who.
        name: Username,
    },
    /// A user's first socket anywhere.
    Online(User),
    /// A user's last socket is gone.
    Offline(User),
    /// 000's relay.
    Relayed {
        /// The JSON object, as the client sent it.
        body: Box<str>,
        /// Whose own socket does not hear it.
        origin: SocketKey,
    },
}

impl Event {
    /// The socket that must not hear it, because it caused it and knows already.
    #[must_use]
    pub const fn silent_for(&self) -> Option<SocketKey> {
        match self {
            Self::Fleeting(
                Fleeting::Typing { origin, .. }
                | Fleeting::StoppedTyping { origin, .. }
                | Fleeting::Entered { origin, .. }
                | Fleeting::Relayed { origin, .. },
            ) => Some(*origin),
            _ => None,
        }
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Change(change) => change.weight(),
            _ => size_of::<Self>(),
        }
    }
}

impl Change {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let message = match &self.kind {
            ChangeKind::Posted(message) | ChangeKind::Edited(message) => {
                size_of_val(&**message)
                    + message.text.len()
                    + message.media.iter().map(String::len).sum::<usize>()
            }
            _ => 0,
        };
        size_of::<Self>() + message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_survive_the_trip_through_their_string() {
        let topics = [
            Topic::Conversation(ConversationId::random()),
            Topic::User(UserId(7)),
            Topic::Everyone,
            Topic::Online,
            Topic::Relay,
        ];
        for topic in topics {
            assert_eq!(Topic::parse(&topic.to_string()), Some(topic));
        }
        assert_eq!(Topic::parse("user:x"), None);
    }
}
