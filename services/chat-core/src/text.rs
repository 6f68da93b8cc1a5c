//! What people type, parsed once at the edge. Past it no bare `String` stands for any of these.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::error::{ChatError, Code, Result};

/// The sizes that one setting each decides (PROTOCOLS.md, "Words").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest message, in Unicode scalar values.
    pub text_max: usize,
    /// Shortest password, in Unicode scalar values.
    pub password_min: usize,
}

impl Limits {
    /// Most bytes of one event or frame: the longest text with every character written as two
    /// `\\uXXXX` escapes, and room for the rest. Parsed JSON takes many times its bytes, so what
    /// is larger is refused unread.
    #[must_use]
    pub const fn event_max(&self) -> usize {
        let needed = self.text_max * 12 + 16 * 1024;
        if needed > 64 * 1024 { needed } else { 64 * 1024 }
    }

    /// Most bytes of one WebSocket frame, and of one post by polling. What is larger than an event may
    /// be is told so in words and its connection lives on, if it is not much larger than 1 MiB: a
    /// frame takes its memory as soon as it is announced.
    #[must_use]
    pub const fn frame_max(&self) -> usize {
        1_024 * 1_024 + 2 * self.event_max()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { text_max: 4_000, password_min: 4 }
    }
}

/// A user's or guest's name as first typed: ASCII letters, digits, `_ . -`; 2 to 32 of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Username(String);

impl Username {
    /// Fewest and most characters.
    pub const LENGTH: std::ops::RangeInclusive<usize> = 2..=32;

    /// Checks the rules of names.
    pub fn parse(raw: &str) -> Result<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if Self::LENGTH.contains(&raw.len()) && raw.bytes().all(fine) {
            return Ok(Self(raw.to_owned()));
        }
        Err(ChatError::new(
            Code::InvalidUsername,
            "a user name is 2 to 32 characters: ASCII letters, digits, '_', '.' and '-'",
        ))
    }

    /// As first typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes it unique: the same for every letter case.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Do both name the same user?
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password within its length. Never printed.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

impl Password {
    /// Most characters: hashing time is bounded by it.
    pub const MAX: usize = 128;

    /// Checks a new password's length.
    pub fn parse(raw: &str, limits: &Limits) -> Result<Self> {
        let length = raw.chars().count();
        if (limits.password_min..=Self::MAX).contains(&length) {
            return Ok(Self(raw.into()));
        }
        let rule = format!("a password is {} to {} characters", limits.password_min, Self::MAX);
        Err(ChatError::new(Code::InvalidPassword, rule))
    }

    /// Takes what somebody offers at login: one that no account can have is simply wrong.
    pub fn offered(raw: &str) -> Result<Self> {
        if raw.chars().count() <= Self::MAX {
            return Ok(Self(raw.into()));
        }
        Err(ChatError::new(Code::InvalidCredentials, "wrong user name or password"))
    }

    /// For hashing only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A message's text: at least one character and at most [`Limits::text_max`], counted as Unicode
/// scalar values after white space at the end is cut off. Otherwise kept exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageText(String);

impl MessageText {
    /// Cuts the end, checks the length.
    pub fn parse(raw: &str, limits: &Limits) -> Result<Self> {
        let text = raw.trim_end();
        if text.is_empty() {
            return Err(ChatError::new(Code::Empty, "the message is empty"));
        }
        // A scalar is at most 4 bytes: a long text need not be counted to be refused.
        if text.len() > limits.text_max * 4 || text.chars().count() > limits.text_max {
            let rule = format!("a message is at most {} characters", limits.text_max);
            return Err(ChatError::new(Code::TextTooLong, rule));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A client's key for one send: the same author and key give the first answer again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// 1 to 64 printable ASCII characters.
    pub fn parse(raw: &str) -> Result<Self> {
        if (1..=64).contains(&raw.len()) && raw.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Ok(Self(raw.to_owned()));
        }
        Err(ChatError::new(
            Code::InvalidClientId,
            "a clientId (Idempotency-Key) is 1 to 64 printable ASCII characters",
        ))
    }

    /// As the client gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: fmt::Debug>(result: Result<T>) -> Code {
        result.expect_err("refused").code()
    }

    #[test]
    fn names_are_two_to_32_of_the_allowed_characters() {
        for good in ["al", "Alice_B.-9", &"x".repeat(32)] {
            assert_eq!(Username::parse(good).expect("fine").as_str(), good);
        }
        for bad in ["", "a", "al ice", "ålice", "a\0b", "<b>", &"x".repeat(33)] {
            assert_eq!(code(Username::parse(bad)), Code::InvalidUsername, "{bad:?}");
        }
    }

    #[test]
    fn text_is_counted_in_scalars_after_its_end_is_cut() {
        let limits = Limits { text_max: 3, ..Limits::default() };
        assert_eq!(MessageText::parse("👋👋👋 \n", &limits).expect("fits").as_str(), "👋👋👋");
        assert_eq!(MessageText::parse("  a", &limits).expect("fits").as_str(), "  a");
        assert_eq!(code(MessageText::parse("abcd", &limits)), Code::TextTooLong);
        assert_eq!(code(MessageText::parse(" \t\n", &limits)), Code::Empty);
        assert_eq!(MessageText::parse("\0", &limits).expect("NUL is text").as_str(), "\0");
    }

    #[test]
    fn an_offered_password_may_be_short_but_not_endless() {
        assert!(Password::offered("x").is_ok());
        assert_eq!(code(Password::offered(&"x".repeat(129))), Code::InvalidCredentials);
        assert_eq!(code(Password::parse("abc", &Limits::default())), Code::InvalidPassword);
    }
}
