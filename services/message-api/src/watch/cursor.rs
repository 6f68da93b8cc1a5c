//! Where a stream of changes was left, as its reader keeps it.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_core::{ChatError, ConversationId, Result, Seq};

use crate::store::Ids;

/// What has been dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// Of all conversations: everything with such ids.
    All(Ids),
    /// Of some: everything up to these seqs.
    Some(BTreeMap<ConversationId, Seq>),
}

impl Cursor {
    /// Opaque to its reader.
    pub(super) fn write(&self) -> String {
        let words = match self {
            Self::All(ids) => format!("a1 {} {}", ids.messages, ids.changes),
            Self::Some(places) => {
                let place = |(id, seq): (&ConversationId, &Seq)| format!(" {:x} {seq}", id.raw());
                let places: String = places.iter().map(place).collect();
                format!("s1{places}")
            }
        };
        BASE64_URL_SAFE_NO_PAD.encode(words)
    }

    pub(super) fn parse(raw: &str) -> Result<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(raw).ok();
        let parsed = bytes.and_then(|bytes| Self::parse_words(str::from_utf8(&bytes).ok()?));
        parsed.ok_or_else(|| refused("this cursor is not one of ours"))
    }

    fn parse_words(words: &str) -> Option<Self> {
        let mut words = words.split(' ');
        match words.next()? {
            "a1" => {
                let (messages, changes) =
                    (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                words.next().is_none().then_some(Self::All(Ids { messages, changes }))
            }
            "s1" => {
                let mut places = BTreeMap::new();
                while let Some(id) = words.next() {
                    let id = ConversationId::from_raw(u64::from_str_radix(id, 16).ok()?);
                    places.insert(id, Seq(words.next()?.parse().ok()?));
                }
                Some(Self::Some(places))
            }
            _ => None,
        }
    }
}

/// The refusal of a cursor.
pub(super) fn refused(sentence: &'static str) -> ChatError {
    ChatError::invalid_payload(sentence).of_field("cursor")
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_text_is_a_cursor_or_refused(text: String, words in "[as]1( [0-9a-f]{0,20}){0,6}") {
            for raw in [text, BASE64_URL_SAFE_NO_PAD.encode(words)] {
                match Cursor::parse(&raw) {
                    Ok(cursor) => assert_eq!(Cursor::parse(&cursor.write()), Ok(cursor)),
                    Err(error) => assert_eq!(error.code(), chat_core::Code::InvalidPayload),
                }
            }
        }
    }

    #[test]
    fn cursors_survive_the_trip_and_nothing_else_is_one() {
        let places = [(ConversationId::LOBBY, Seq(7)), (ConversationId::random(), Seq::START)];
        for cursor in [
            Cursor::All(Ids { messages: u64::MAX, changes: 0 }),
            Cursor::Some(places.into_iter().collect()),
        ] {
            assert_eq!(Cursor::parse(&cursor.write()), Ok(cursor));
        }
        for bad in
            ["a1", "a1 1", "a1 1 2 3", "a1 x 1", "a1 -1 1", "a2 1 2", "s1 1", "s1 x 1", "\u{e9}"]
        {
            assert!(Cursor::parse(&BASE64_URL_SAFE_NO_PAD.encode(bad)).is_err(), "{bad}");
        }
        for bad in ["", "!", "YTE", "lobby"] {
            assert!(Cursor::parse(bad).is_err(), "{bad}");
        }
    }
}
