//! Ids. Each is its own type, so that none can stand in for another.

use std::{fmt, str::FromStr};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{ChatError, Code};

/// A registered user. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserId(pub u64);

/// A message, unique over all conversations; below 2^53, so safe as a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageId(pub u64);

/// The place of a durable change in its conversation: 1, 2, 3 … without holes. 0 is "before everything".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first change.
    pub const START: Self = Self(0);

    /// The one after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A conversation. Clients see it as an opaque string: `lobby`, or 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(u64);

impl ConversationId {
    /// The one lobby.
    pub const LOBBY: Self = Self(1);

    /// A new random id. The top bit stays clear, so that it fits signed columns.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::rng().random_range(1 << 32..=i64::MAX as u64))
    }

    /// As stored.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// As stored.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::LOBBY { f.write_str("lobby") } else { write!(f, "{:016x}", self.0) }
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ConversationId {
    type Err = ChatError;

    /// An id that no conversation can bear is answered like one that none bears: `not_found`.
    fn from_str(s: &str) -> Result<Self, ChatError> {
        if s == "lobby" {
            return Ok(Self::LOBBY);
        }
        let canonical =
            s.len() == 16 && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u64::from_str_radix(s, 16)
            .ok()
            .filter(|&raw| canonical && raw > Self::LOBBY.0 && i64::try_from(raw).is_ok())
            .map(Self)
            .ok_or_else(|| ChatError::new(Code::NotFound, "there is no such conversation"))
    }
}

macro_rules! decimal_id {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = ChatError;

            fn from_str(s: &str) -> Result<Self, ChatError> {
                s.parse().ok().filter(|&raw: &u64| i64::try_from(raw).is_ok()).map(Self).ok_or_else(
                    || ChatError::new(Code::NotFound, concat!("there is no such ", $what)),
                )
            }
        }
    };
}
decimal_id!(MessageId, "message");
decimal_id!(UserId, "user");

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The public half of a session: the SHA-256 of its secret, in hex. Safe to store, log and pass on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(String);

impl SessionId {
    /// The id that belongs to a secret.
    #[must_use]
    pub fn of_secret(secret: &str) -> Self {
        Self(hex(&Sha256::digest(secret.as_bytes())))
    }

    /// Takes an id that a token or another service carries. `None` unless 64 lower-case hex digits.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let ok = raw.len() == 64
            && raw.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ok.then(|| Self(raw.to_owned()))
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One socket among all sockets of all gateways: a gateway's epoch and a number within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SocketKey {
    /// The gateway process that holds it (random at each start).
    pub gateway: u64,
    /// Its number there.
    pub number: u64,
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversation_ids_survive_the_trip_through_their_string() {
        for id in [ConversationId::LOBBY, ConversationId::random(), ConversationId::from_raw(2)] {
            assert_eq!(id.to_string().parse::<ConversationId>().expect("parses"), id);
        }
    }

    #[test]
    fn only_the_canonical_string_of_a_conversation_is_taken() {
        for bad in [
            "",
            "Lobby",
            "1",
            "0000000000000001",
            "ffffffffffffffff",
            "00000000000000AB",
            "+000000000000002",
        ] {
            assert!(bad.parse::<ConversationId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_session_id_is_64_hex_digits_and_nothing_else() {
        let id = SessionId::of_secret("secret");
        assert_eq!(SessionId::parse(id.as_str()), Some(id));
        assert_eq!(SessionId::parse("secret"), None);
    }
}
