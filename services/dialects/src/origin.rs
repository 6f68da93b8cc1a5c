//! Which pages may use the visitor's cookie to open a socket: our own, and those of a list.

use axum::http::{HeaderMap, header};

/// May a page of this request's `Origin` use the visitor's cookie? Requests without the header do
/// not come from a page.
#[must_use]
pub fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    (authority.is_some() && authority == host)
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        is_allowed(&headers, &["https://app.example".to_owned()])
    }

    #[test]
    fn only_our_own_pages_and_listed_ones_may() {
        assert!(check(None, "chat.example"));
        assert!(check(Some("https://chat.example"), "chat.example"));
        assert!(check(Some("https://app.example"), "chat.example"));
        assert!(!check(Some("https://evil.example"), "chat.example"));
        assert!(!check(Some("http://chat.example:8080"), "chat.example"));
        assert!(!check(Some("null"), "chat.example"));
    }
}
