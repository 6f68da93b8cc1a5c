//! The session cookie.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header::SET_COOKIE},
    middleware::Next,
    response::Response,
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use secrecy::{ExposeSecret, SecretString};

use super::RestState;

/// Its name.
pub(crate) const NAME: &str = "session";

/// The value that a request carries, if it carries one.
pub(crate) fn of(headers: &HeaderMap) -> Option<SecretString> {
    let jar = CookieJar::from_headers(headers);
    jar.get(NAME).map(Cookie::value).filter(|value| !value.is_empty()).map(SecretString::from)
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

/// `None` for a value that no header may hold: it came from a client and is no secret of ours.
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
/// the cookie for as long as the session now lasts.
pub(crate) async fn prolong(
    State(state): State<RestState>,
    request: Request,
    next: Next,
) -> Response {
    let secret = of(request.headers());
    let mut response = next.run(request).await;
    if let Some(secret) = secret
        && response.status().is_success()
        && !response.headers().contains_key(SET_COOKIE)
    {
        give(&mut response, &secret, &state);
    }
    response
}

#[cfg(test)]
mod tests {
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
    fn a_value_that_would_break_the_header_is_not_sent() {
        assert_eq!(build("a\r\nSet-Cookie: b=c", true, Duration::ZERO), None);
    }
}
