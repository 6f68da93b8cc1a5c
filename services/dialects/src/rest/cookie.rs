//! The session cookie.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue,
        header::{AUTHORIZATION, SET_COOKIE},
    },
    middleware::Next,
    response::Response,
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use chat_core::SessionId;
use secrecy::{ExposeSecret, SecretString};

use super::RestState;

/// Its name.
pub(crate) const NAME: &str = "session";

/// Characters of a session's secret: 256 bits in base64, safe in URLs.
const LENGTH: usize = 43;

/// The secret that a request carries, if it carries one. What can be none of ours is not looked at,
/// and not told on: it may be another's cookie, or hold what a header must not.
pub(crate) fn of(headers: &HeaderMap) -> Option<SecretString> {
    let jar = CookieJar::from_headers(headers);
    jar.get(NAME).map(Cookie::value).filter(|value| is_ours(value)).map(SecretString::from)
}

fn is_ours(value: &str) -> bool {
    let is_of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    value.len() == LENGTH && value.bytes().all(is_of_base64)
}

/// Hands the client a session.
pub(crate) fn give(response: &mut Response, secret: &SecretString, state: &RestState) {
    let header = build(secret.expose_secret(), state.secure_cookies, state.session_ttl);
    response.headers_mut().extend(header.map(|header| (SET_COOKIE, header)));
}

/// Takes it away.
pub(crate) fn clear(response: &mut Response, state: &RestState) {
    let header = build("", state.secure_cookies, Duration::ZERO);
    response.headers_mut().extend(header.map(|header| (SET_COOKIE, header)));
}

/// `None` for a value that no header may hold.
fn build(value: &str, secure: bool, lasts: Duration) -> Option<HeaderValue> {
    let seconds = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((NAME, value))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .path("/")
        .max_age(time::Duration::seconds(seconds));
    let mut header = HeaderValue::from_str(&cookie.to_string()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Use prolongs a session: where a request with the cookie succeeds, the browser is told to keep
/// the cookie for as long as the session now lasts. For routes that let in nobody without a session.
///
/// A request that shows something else as well may have been let in by that, so it tells nothing of
/// the cookie. Nor does one whose session has ended meanwhile: by then the browser may have a newer
/// cookie, since who logs in anew ends the former session first. What is on its way already can
/// still come late.
pub(crate) async fn prolong(
    State(state): State<RestState>,
    request: Request,
    next: Next,
) -> Response {
    let is_alone = !request.headers().contains_key(AUTHORIZATION);
    let secret = of(request.headers()).filter(|_| is_alone);
    let mut response = next.run(request).await;
    if let Some(secret) = secret
        && response.status().is_success()
        && !response.headers().contains_key(SET_COOKIE)
        && lives(&state, &secret).await
    {
        give(&mut response, &secret, &state);
    }
    response
}

async fn lives(state: &RestState, secret: &SecretString) -> bool {
    let id = SessionId::of_secret(secret.expose_secret());
    state.chat.live_sessions(vec![id]).await.is_ok_and(|living| !living.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;

    use super::*;

    fn header(value: &str, secure: bool, seconds: u64) -> String {
        let header = build(value, secure, Duration::from_secs(seconds)).expect("a header");
        header.to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn the_cookie_is_out_of_reach_for_scripts_and_other_sites() {
        assert_eq!(
            header("s3cret", true, 3_600),
            "session=s3cret; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600"
        );
        assert!(!header("s3cret", false, 3_600).contains("Secure"));
    }

    #[test]
    fn a_cleared_cookie_is_empty_and_over() {
        let cleared = header("", false, 0);
        assert!(cleared.starts_with("session=;") && cleared.ends_with("Max-Age=0"), "{cleared}");
    }

    #[test]
    fn only_what_may_be_a_secret_of_ours_is_one() {
        let carried = |value: &str| {
            let value = HeaderValue::from_str(&format!("a=b; session={value}")).expect("a header");
            let carried = of(&HeaderMap::from_iter([(COOKIE, value)]));
            carried.map(|secret| secret.expose_secret().to_owned())
        };
        let ours = "A-z_0123456789".repeat(4)[..LENGTH].to_owned();
        assert_eq!(carried(&ours), Some(ours.clone()));
        assert_eq!(carried(&ours.replace('A', "%41")), Some(ours.clone()));
        let attributes = |rest: &str| format!("{}{rest}", &ours[..LENGTH - rest.len()]);
        for other in [
            String::new(),
            "s3cret".into(),
            ours[1..].into(),
            format!("{ours}A"),
            format!("{ours}%3B%20Domain=example.org"),
            attributes(";Path=/"),
            attributes("=").replace('=', "%3D"),
            attributes("|||").replace('|', "%3B"),
        ] {
            assert_eq!(carried(&other), None, "{other}");
        }
    }

    #[test]
    fn a_value_that_would_break_the_header_is_not_sent() {
        assert_eq!(build("a\r\nSet-Cookie: b=c", true, Duration::ZERO), None);
    }
}
