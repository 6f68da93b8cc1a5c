//! Query strings.

use std::{collections::HashMap, convert::Infallible};

use axum::{
    extract::{FromRequestParts, Query},
    http::{Uri, request::Parts},
};
use chat_core::{ChatError, MessageId, Result};

/// A request's query parameters, decoded; of several with one name the last counts.
pub(crate) struct Params(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

impl Params {
    /// Those of a URI.
    pub(crate) fn of(uri: &Uri) -> Self {
        // Decoding is lossy and therefore never fails.
        let params = Query::try_from_uri(uri).map(|Query(params)| params);
        Self(params.unwrap_or_default())
    }

    /// A parameter as it stands.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// `before`: the message that a page ends before.
    pub(crate) fn before(&mut self) -> Result<Option<MessageId>> {
        let id = self.take("before").map(|raw| raw.parse::<MessageId>()).transpose();
        id.map_err(|_| ChatError::invalid_payload("`before` must be a message's id"))
    }

    /// How many are wanted: a positive whole number, cut to `most`.
    pub(crate) fn count(&self, name: &'static str, default: u32, most: u32) -> Result<u32> {
        let Some(raw) = self.0.get(name) else { return Ok(default) };
        let is_number = !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_digit());
        // A number that no u32 holds is above every `most`.
        match raw.parse::<u32>().unwrap_or(u32::MAX) {
            wanted @ 1.. if is_number => Ok(wanted.min(most)),
            _ => {
                Err(ChatError::invalid_payload(format!("`{name}` must be a positive whole number")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_positive_number_cut_to_the_most() {
        let count = |raw: &str| {
            let params = Params(HashMap::from([("N".to_owned(), raw.to_owned())]));
            params.count("N", 10, 1_000).ok()
        };
        for (raw, expected) in
            [("1", 1), ("007", 7), ("1000", 1_000), ("99999999999999999999", 1_000)]
        {
            assert_eq!(count(raw), Some(expected), "{raw}");
        }
        for raw in ["", "0", "-1", "+1", " 1", "1.5", "ten", "\u{fffd}"] {
            assert_eq!(count(raw), None, "{raw}");
        }
        assert_eq!(Params(HashMap::new()).count("N", 10, 1_000).ok(), Some(10));
    }
}
