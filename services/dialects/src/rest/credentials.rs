//! Who asks: the credentials that a request carries.

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chat_core::{Caller, Chat, ChatError, Credential, Result, Session};
use secrecy::SecretString;

use super::cookie;

/// The session cookie.
pub(crate) fn from_cookie(headers: &HeaderMap) -> Option<Credential> {
    cookie::of(headers).map(Credential::Session)
}

/// `Authorization: Bearer <token>`, or `Basic <token>` as 001's later clients send it, or `Basic`
/// as HTTP has it, with the token as password or, without password, as user.
pub(crate) fn from_authorization(headers: &HeaderMap) -> Option<Credential> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => SecretString::from(rest),
        "basic" => basic(rest).unwrap_or_else(|| rest.into()),
        _ => return None,
    };
    Some(Credential::Token(token))
}

/// Is there an `Authorization` that a browser may have added by itself? Only `Bearer` is always a
/// page's own doing, and one of another origin can't add it unless CORS lets it.
pub(crate) fn is_by_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) && !is_bearer(headers)
}

/// Is there a Bearer token, or what is shown as one?
pub(crate) fn is_bearer(headers: &HeaderMap) -> bool {
    let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    shown.and_then(|shown| shown.get(..7)).is_some_and(|kind| kind.eq_ignore_ascii_case(b"bearer "))
}

/// A token itself has dots, which base64 has not.
fn basic(encoded: &str) -> Option<SecretString> {
    let pair = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(if password.is_empty() { user.into() } else { password.into() })
}

/// The session of the first credential that is alive. A dead one does not spoil a live one: a
/// browser keeps sending an old cookie beside a new token.
pub(crate) async fn first_live(
    chat: &dyn Chat,
    credentials: impl IntoIterator<Item = Credential> + Send,
) -> Result<Session> {
    let credentials: Vec<_> = credentials.into_iter().collect();
    let mut refusal = None;
    for credential in credentials {
        match chat.authenticate(credential).await {
            Err(error) if error.code().http() == 401 => {
                refusal.get_or_insert(error);
            }
            decided => return decided,
        }
    }
    Err(refusal.unwrap_or_else(ChatError::unauthorised))
}

/// The registered user by the cookie, where it is alive, or else by the token.
pub(crate) async fn member(chat: &dyn Chat, headers: &HeaderMap) -> Result<Caller> {
    let offered = from_cookie(headers).into_iter().chain(from_authorization(headers));
    Ok(Caller::User(first_live(chat, offered).await?.user))
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;
    use secrecy::ExposeSecret;

    use super::*;

    fn shown(credential: Option<Credential>) -> Option<(bool, String)> {
        credential.map(|credential| match credential {
            Credential::Session(secret) => (true, secret.expose_secret().to_owned()),
            Credential::Token(secret) => (false, secret.expose_secret().to_owned()),
        })
    }

    fn authorization(value: &[u8]) -> Option<String> {
        let value = HeaderValue::from_bytes(value).expect("a header");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        shown(from_authorization(&headers)).map(|(is_session, secret)| {
            assert!(!is_session);
            secret
        })
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_basic_in_three_ways() {
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        for good in [
            "Bearer aa.bb.cc",
            "bearer  aa.bb.cc ",
            "Basic aa.bb.cc",
            &basic("aa.bb.cc:"),
            &basic("alice:aa.bb.cc"),
        ] {
            assert_eq!(authorization(good.as_bytes()).as_deref(), Some("aa.bb.cc"), "{good}");
        }
        for bad in [&b"Bearer"[..], b"", b"Digest aa.bb.cc", b"Bearer \xff"] {
            assert_eq!(authorization(bad), None);
        }
    }

    #[test]
    fn the_session_is_found_among_other_cookies_and_rubbish() {
        let cookie = |value: &[u8]| {
            let value = HeaderValue::from_bytes(value).expect("a header");
            shown(from_cookie(&HeaderMap::from_iter([(COOKIE, value)])))
        };
        let secret = "s3cret-".repeat(7)[..43].to_owned();
        let among = format!("a=b; session={secret}; =; ;;");
        assert_eq!(cookie(among.as_bytes()), Some((true, secret.clone())));
        let other = format!("Session={secret}");
        for none in [&b"a=b"[..], b"session=", b"session", b"\xff\xfe", other.as_bytes()] {
            assert_eq!(cookie(none), None);
        }
    }
}
