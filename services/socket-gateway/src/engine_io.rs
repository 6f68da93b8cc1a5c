//! What a request asks of Engine.IO, read as the library reads it: who writes it in another way
//! than official clients do is still counted and bounded.

use axum::{extract::Request, http::header};

/// Is it for Engine.IO at all, wherever that is served?
pub(crate) fn is_meant(request: &Request) -> bool {
    pairs(request).any(|pair| pair.starts_with("EIO="))
}

/// The session that it names.
pub(crate) fn sid(request: &Request) -> Option<&str> {
    pairs(request).find_map(|pair| pair.strip_prefix("sid="))
}

/// Does a session begin with it, if the library takes it?
pub(crate) fn begins(request: &Request) -> bool {
    is_meant(request) && sid(request).is_none()
}

/// Does its connection become a websocket?
pub(crate) fn is_upgrade(request: &Request) -> bool {
    request.headers().contains_key(header::UPGRADE)
}

fn pairs(request: &Request) -> impl Iterator<Item = &str> {
    request.uri().query().unwrap_or_default().split('&')
}

/// The name that the library gave a session, in its greeting.
pub(crate) fn named(greeting: &[u8]) -> Option<&str> {
    let greeting = &greeting[greeting.iter().position(|byte| *byte == b'{')?..];
    let (_, rest) = std::str::from_utf8(greeting).ok()?.split_once(r#""sid":""#)?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_session_begins_where_none_is_named() {
        let request = |query: &str| {
            let request = Request::builder().uri(format!("/socket.io/?{query}"));
            request.body(Body::empty()).expect("a request")
        };
        for query in ["EIO=4&transport=polling", "transport=polling=&EIO=3", "EIO=4&sid", "EIO="] {
            assert!(begins(&request(query)), "{query}");
        }
        for query in ["", "transport=polling", "EIO=4&sid=", "EIO=4&sid=a&sid=b"] {
            assert!(!begins(&request(query)), "{query}");
        }
        assert_eq!(sid(&request("EIO=4&sid=a&sid=b")), Some("a"));
    }

    #[test]
    fn the_greeting_tells_the_name_in_every_framing() {
        for greeting in [
            &br#"0{"sid":"a_b","upgrades":[]}"#[..],
            br#"96:0{"sid":"a_b","upgrades":[]}"#,
            b"\x00\x09\x06\xff0{\"sid\":\"a_b\"}",
        ] {
            assert_eq!(named(greeting), Some("a_b"));
        }
        for other in [&b""[..], b"{", b"\"sid\":\"a\"", b"{\xff\"sid\":\"a\""] {
            assert_eq!(named(other), None);
        }
    }
}
