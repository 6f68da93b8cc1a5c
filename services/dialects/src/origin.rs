//! Which pages may use the visitor's cookie: our own, and those of a list.
//!
//! A browser says from which page a request comes, and no page can make it say anything else:
//! `Sec-Fetch-Site` since 2020 (2023 in Safari; over HTTPS and to localhost only), `Origin` on every
//! websocket, every request across origins that scripts may read, and everything but GET and HEAD.
//! Who sends neither is no page: a program, or the visitor himself who typed an address.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, COOKIE, HOST, ORIGIN},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The headers that tell who opens a socket, and from which page. Nothing else is looked at.
pub const TELLING: [HeaderName; 6] =
    [AUTHORIZATION, COOKIE, HOST, ORIGIN, SEC_FETCH_SITE, X_FORWARDED_PROTO];

/// May what made this request use the visitor's cookie?
#[must_use]
pub fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    let is_listed = |listed: &String| Some(listed.as_bytes()) == origin;
    if allowed.iter().any(is_listed) {
        return true;
    }
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        // The browser compared, whatever a proxy has made of `Host` since; or the visitor typed.
        Some(b"same-origin" | b"none") => true,
        Some(_) => false,
        None => origin.is_none_or(|origin| is_ours(origin, headers)),
    }
}

/// Is it the origin that the request went to? `X-Forwarded-Host` doesn't count: not every proxy
/// takes it off. A page over HTTP may be of whoever owns the network, so it is not ours where a
/// proxy says that the request itself came over HTTPS.
fn is_ours(origin: &[u8], headers: &HeaderMap) -> bool {
    let origin = std::str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let (Some((scheme, authority)), Some(host)) = (origin, host) else { return false };
    let is_web = scheme == "https" || scheme == "http";
    is_web
        && without_port(scheme, authority).eq_ignore_ascii_case(without_port(scheme, host))
        && (scheme == "https" || !is_secure(headers))
}

/// Does the proxy before us say that the browser came by HTTPS? Some say `wss` of websockets.
#[must_use]
pub fn is_secure(headers: &HeaderMap) -> bool {
    let told = headers.get(X_FORWARDED_PROTO).and_then(|value| value.to_str().ok());
    let first = told.and_then(|told| told.split(',').next()).unwrap_or_default().trim();
    first.eq_ignore_ascii_case("https") || first.eq_ignore_ascii_case("wss")
}

/// Without the port that the scheme has anyway: browsers leave it out, other clients may not.
fn without_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// One of the setting ALLOWED_ORIGINS, as browsers write it. The error is one sentence.
pub fn parse_origin(raw: &str) -> Result<String, String> {
    let rule = "ALLOWED_ORIGINS has origins like https://app.example, with commas between";
    let wrong = |why: &str| Err(format!("{raw:?} {why}: {rule}"));
    let Ok(uri) = raw.trim().parse::<Uri>() else { return wrong("is no origin") };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return wrong("is no origin");
    };
    let authority = authority.as_str();
    if authority.contains(['*', '@']) {
        return wrong("has a wildcard or a user");
    }
    if uri.path() != "/" || uri.query().is_some() {
        return wrong("has a path");
    }
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    Ok(format!("{scheme}://{}", without_port(&scheme, &authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request to `chat.example` with these headers; `https://app.example` is listed.
    fn check(headers: &[(&'static str, &str)]) -> bool {
        let mut all = HeaderMap::new();
        for (name, value) in [("host", "chat.example")].iter().chain(headers) {
            all.insert(*name, value.parse().expect("a header"));
        }
        is_allowed(&all, &["https://app.example".to_owned()])
    }

    #[test]
    fn only_our_own_pages_and_listed_ones_may() {
        for ours in [
            "https://chat.example",
            "http://chat.example",
            "https://chat.example:443",
            "https://CHAT.example",
            "https://app.example",
        ] {
            assert!(check(&[("origin", ours)]), "{ours}");
        }
        for foreign in [
            "https://evil.example",
            "http://chat.example:8080",
            "https://chat.example:80",
            "http://app.example",
            "https://app.example.evil.example",
            "https://chat.example.",
            "https://evil.chat.example",
            "chat.example",
            "chrome-extension://chat.example",
            "ftp://chat.example",
            "null",
            "file://",
            "",
        ] {
            assert!(!check(&[("origin", foreign)]), "{foreign}");
        }
        assert!(check(&[]), "no page");
    }

    #[test]
    fn what_the_browser_compared_counts_before_what_we_can() {
        let behind_a_proxy = [("origin", "https://outside.example")];
        for (site, may) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            assert_eq!(check(&[behind_a_proxy[0], ("sec-fetch-site", site)]), may, "{site}");
            assert_eq!(check(&[("sec-fetch-site", site)]), may, "{site} without an origin");
        }
        let sibling = [("origin", "https://app.example"), ("sec-fetch-site", "same-site")];
        assert!(check(&sibling), "listed");
        assert!(!check(&[("origin", "https://chat.example"), ("sec-fetch-site", "rubbish")]));
    }

    #[test]
    fn an_insecure_page_of_a_secure_host_is_not_ours_and_a_forwarded_host_is_not_believed() {
        for proto in ["https", "wss", "HTTPS", "https, http"] {
            let told = ("x-forwarded-proto", proto);
            assert!(!check(&[("origin", "http://chat.example"), told]), "{proto}");
            assert!(check(&[("origin", "https://chat.example"), told]), "{proto}");
        }
        // TLS may end before the proxy that tells.
        assert!(check(&[("origin", "https://chat.example"), ("x-forwarded-proto", "http")]));
        let forged = [("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")];
        assert!(!check(&forged));
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (raw, origin) in [
            ("https://App.Example", "https://app.example"),
            ("https://app.example:443/", "https://app.example"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://[::1]:80", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(parse_origin(raw).as_deref(), Ok(origin), "{raw}");
        }
        for bad in [
            "*",
            "null",
            "",
            "app.example",
            "https://*.example",
            "https://u@app.example",
            "https://app.example/chat",
            "https://app.example?x",
            "https://a b",
        ] {
            let error = parse_origin(bad).expect_err(bad);
            assert!(error.contains("ALLOWED_ORIGINS"), "{error}");
        }
    }
}
