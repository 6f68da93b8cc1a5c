//! Who is where, as Redis and other gateways know it.

use std::{fmt, time::Duration};

use chat_core::{ConversationId, Event, Fleeting, SocketKey, Topic, User, Username};
use prost::Message as _;
use switchboard_proto::v1;

/// Somewhere that users are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A room.
    Room(ConversationId),
    /// The place of everybody connected; no conversation's id looks like its name.
    Online,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(conversation) => conversation.fmt(f),
            Self::Online => f.write_str("online"),
        }
    }
}

impl Place {
    fn parse(raw: &str) -> Option<Self> {
        if raw == "online" { Some(Self::Online) } else { raw.parse().ok().map(Self::Room) }
    }
}

/// Somebody somewhere. In a room others see a name and nothing else, so the name, in any letter
/// case, is who they are there: a guest and a user of one name are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// In a room.
    InRoom(ConversationId, Username),
    /// Connected at all.
    Online(User),
}

impl Member {
    /// Where.
    pub(super) const fn place(&self) -> Place {
        match self {
            Self::InRoom(conversation, _) => Place::Room(*conversation),
            Self::Online(_) => Place::Online,
        }
    }

    /// Who, within the place. Has no space.
    pub(super) fn field(&self) -> String {
        match self {
            Self::InRoom(_, name) => name.key(),
            Self::Online(user) => field_of_user(user),
        }
    }

    /// The name that others see.
    pub(super) const fn name(&self) -> &Username {
        match self {
            Self::InRoom(_, name) | Self::Online(User { name, .. }) => name,
        }
    }

    /// As a gateway's list in Redis has it: the place, the field, the name.
    pub(super) fn encode(&self) -> String {
        format!("{} {} {}", self.place(), self.field(), self.name())
    }

    pub(super) fn decode(raw: &str) -> Option<Self> {
        let mut parts = raw.splitn(3, ' ');
        let (place, field, name) = (parts.next()?, parts.next()?, parts.next()?);
        match Place::parse(place)? {
            Place::Room(conversation) => {
                Some(Self::InRoom(conversation, Username::parse(name).ok()?))
            }
            Place::Online => user_of_field(field).map(Self::Online),
        }
    }

    /// Where others hear of a first socket or a last one, and what: protobuf, ready to publish.
    /// `ago`: when the first came.
    pub(super) fn announcement(
        &self,
        origin: Option<SocketKey>,
        ago: Duration,
    ) -> (Topic, Vec<u8>) {
        let (topic, told) = match (self, origin) {
            (Self::InRoom(conversation, name), origin) => {
                let (conversation, name) = (*conversation, name.clone());
                let told = match origin {
                    Some(origin) => Fleeting::Entered { conversation, name, origin, ago },
                    None => Fleeting::Left { conversation, name },
                };
                (Topic::Conversation(conversation), told)
            }
            (Self::Online(user), Some(_)) => (Topic::Online, Fleeting::Online(user.clone())),
            (Self::Online(user), None) => (Topic::Online, Fleeting::Offline(user.clone())),
        };
        (topic, encoded(told))
    }

    /// What others hear when the last socket that Redis knows is gone, but Redis may not know all:
    /// protobuf, empty if there is nothing to tell.
    pub(super) fn suspicion(&self) -> Vec<u8> {
        match self {
            Self::InRoom(conversation, name) => {
                let (conversation, name) = (*conversation, name.clone());
                encoded(Fleeting::MayHaveLeft { conversation, name })
            }
            // Every gateway has this roster from its start, so a comparison misses nobody.
            Self::Online(_) => Vec::new(),
        }
    }
}

fn encoded(told: Fleeting) -> Vec<u8> {
    v1::Event::from(&Event::Fleeting(told)).encode_to_vec()
}

/// A user's field in [`Place::Online`]: `u<id>/<name>`.
#[must_use]
pub fn field_of_user(user: &User) -> String {
    format!("u{}/{}", user.id, user.name)
}

/// The user that a field of [`Place::Online`] stands for.
#[must_use]
pub fn user_of_field(field: &str) -> Option<User> {
    let (id, name) = field.strip_prefix('u')?.split_once('/')?;
    Some(User { id: id.parse().ok()?, name: Username::parse(name).ok()? })
}

/// A field's part in its place's digest: FNV-1a, folded to 40 bits, so that eight million of them
/// add up in Redis's signed 64 bits. The same in every version of the gateway.
#[must_use]
pub fn weight(field: &str) -> u64 {
    let hash = field.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 40)) & ((1 << 40) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_survive_the_trip_through_redis() {
        let name = |raw| Username::parse(raw).expect("a name");
        let user = User { id: chat_core::UserId(7), name: name("bob") };
        let guest = Member::InRoom(ConversationId::LOBBY, name("Alice.B"));
        for member in [guest, Member::Online(user)] {
            assert_eq!(Member::decode(&member.encode()), Some(member));
        }
        assert_eq!(Member::decode("lobby"), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_redis_is_a_member_or_nobody(
            text: String, words in "(lobby|online|[0-9a-f]{16}) (u[0-9]{1,20}/)?[a-zA-Z_.-]{0,34} ?[a-z]{0,34}",
        ) {
            for raw in [text, words] {
                if let Some(member) = Member::decode(&raw) {
                    assert_eq!(Member::decode(&member.encode()), Some(member));
                }
                let _ = user_of_field(&raw);
            }
        }
    }

    #[test]
    fn weights_never_change_between_versions() {
        assert_eq!(weight(""), 0x00e4_84e9_d1b9);
        assert_ne!(weight("alice"), weight("bob"));
    }
}
