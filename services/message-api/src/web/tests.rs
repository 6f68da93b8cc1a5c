//! What is served of the client, and what is not.

use std::io::Read as _;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use chat_core::ChatError;
use dialects::rest::pages::{Form, Pages as _};
use flate2::read::GzDecoder;
use tower::ServiceExt as _;

use super::*;

const ALL: [&str; 5] = ["tinychat", "conversations", "one-to-one", "messenger", "chatto"];

fn web(protocols: &[&str]) -> Arc<Web> {
    let protocols: Vec<_> = protocols.iter().map(ToString::to_string).collect();
    Arc::new(Web::new(&protocols, 7))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        Self { status, headers, body }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

async fn ask(web: &Arc<Web>, path: &str, header: (&str, &str)) -> Answer {
    let request = Request::get(path).header(header.0, header.1).body(Body::empty());
    let response = routes(Arc::clone(web)).oneshot(request.expect("a request")).await;
    Answer::of(response.expect("an answer")).await
}

async fn get(web: &Arc<Web>, path: &str) -> Answer {
    ask(web, path, ("accept", "*/*")).await
}

fn on_disk(name: &str) -> Vec<u8> {
    let path = format!("{}/web/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn files_are_served_as_they_are_by_their_kind() {
    let web = web(&ALL);
    for (name, kind) in [
        ("app.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("vendor/socket.io.esm.min.js", "text/javascript; charset=utf-8"),
        ("vendor/marked.esm.js", "text/javascript; charset=utf-8"),
        ("vendor/purify.es.mjs", "text/javascript; charset=utf-8"),
    ] {
        let answer = get(&web, &format!("{}/{name}", web.base)).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::OK, kind),
            "{name}"
        );
        assert_eq!(answer.body, on_disk(name), "{name}");
    }
}

#[tokio::test]
async fn a_file_may_be_kept_for_ever_under_this_version_and_under_no_other() {
    let web = web(&ALL);
    let here = get(&web, &format!("{}/style.css", web.base)).await;
    assert_eq!(here.header("cache-control"), "public, max-age=31536000, immutable");
    let elsewhere = get(&web, "/web/of-a-newer-replica/style.css").await;
    assert_eq!(elsewhere.status, StatusCode::OK);
    assert_eq!(elsewhere.header("cache-control"), "no-cache");
    assert_eq!(elsewhere.body, here.body);
}

#[tokio::test]
async fn who_has_the_file_is_not_sent_it_again() {
    let web = web(&ALL);
    let path = format!("{}/style.css", web.base);
    let first = get(&web, &path).await;
    let tag = first.header("etag");
    for known in [tag, &format!("\"another\", {tag}"), "*"] {
        let again = ask(&web, &path, ("if-none-match", known)).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!((again.header("etag"), again.body.len()), (tag, 0));
        assert_eq!(again.header("cache-control"), first.header("cache-control"));
    }
    let other = get(&web, &format!("{}/app.js", web.base)).await;
    for unknown in [other.header("etag"), "rubbish"] {
        let again = ask(&web, &path, ("if-none-match", unknown)).await;
        assert_eq!((again.status, again.body), (StatusCode::OK, first.body.clone()), "{unknown}");
    }
}

#[tokio::test]
async fn files_are_compressed_for_those_who_take_it() {
    let web = web(&ALL);
    for path in [format!("{}/vendor/marked.esm.js", web.base), "/socket.io/socket.io.js".into()] {
        let plain = get(&web, &path).await;
        assert_eq!(plain.header("content-encoding"), "");
        let packed = ask(&web, &path, ("accept-encoding", "br, gzip")).await;
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert_eq!(packed.header("vary"), "accept-encoding");
        assert_eq!(packed.header("etag"), plain.header("etag"));
        assert!(packed.body.starts_with(&[0x1f, 0x8b]));
        assert!(packed.body.len() * 2 < plain.body.len(), "{path}");
        let mut unpacked = Vec::new();
        GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, plain.body, "{path}");
        for others in ["br", "gzip;q=0", "x-gzip2", ""] {
            let plain = ask(&web, &path, ("accept-encoding", others)).await;
            assert_eq!(plain.header("content-encoding"), "", "{others}");
            assert_eq!(plain.header("vary"), "accept-encoding");
        }
    }
}

#[tokio::test]
async fn nothing_else_of_the_directory_is_served() {
    let web = web(&ALL);
    for name in [
        "",
        "vendor",
        "vendor/",
        "vendor/made-from",
        "vendor.sh",
        "index.html",
        "login.html",
        "package.json",
        "package-lock.json",
        ".npmrc",
        "node_modules/marked/lib/marked.esm.js",
        "vendor/../app.js",
        "%2e%2e/build.rs",
        "..%2fbuild.rs",
        "style.css/",
        "%ff",
    ] {
        let answer = get(&web, &format!("{}/{name}", web.base)).await;
        assert!(answer.status.is_client_error(), "{name:?}: {}", answer.status);
        assert!(!answer.header("cache-control").contains("immutable"), "{name:?}");
    }
    let missing = get(&web, &format!("{}/package.json", web.base)).await;
    assert_eq!(
        (missing.status, missing.header("cache-control")),
        (StatusCode::NOT_FOUND, "no-store")
    );
    assert!(missing.text().contains("not_found"), "{}", missing.text());
}

#[tokio::test]
async fn old_pages_find_the_official_client_where_they_look_for_it() {
    let answer = get(&web(&[]), "/socket.io/socket.io.js").await;
    assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.body, on_disk("vendor/socket.io.min.js"));
    assert!(!answer.text().contains("sourceMappingURL"));
}

#[tokio::test]
async fn pages_are_shut_in_and_name_files_that_there_are() {
    let web = web(&ALL);
    let error = ChatError::unavailable("Redis", "away");
    for response in [
        web.chat(),
        web.form(Form::LogIn, "", None),
        web.form(Form::Register, "", None),
        web.failed(&error),
        web.status(),
        web.unserved(),
    ] {
        let page = Answer::of(response).await;
        let html = page.text();
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "same-origin");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        assert!(page.header("permissions-policy").contains("clipboard-write=(self)"));
        let policy = page.header("content-security-policy");
        for rule in ["default-src 'none'", "require-trusted-types-for 'script'", "base-uri 'none'"]
        {
            assert!(policy.split("; ").any(|one| one == rule), "{rule} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let files: Vec<_> = html.split('"').filter(|text| text.starts_with("/web/")).collect();
        assert!(!files.is_empty(), "{html}");
        for file in files {
            assert!(file.starts_with(&web.base), "{file}");
            assert_eq!(get(&web, file).await.status, StatusCode::OK, "{file}");
        }
        for strange in
            ["<style", " style=", "<script>", "onclick", "onload", "\"http", "\"//", "{{"]
        {
            assert!(!html.contains(strange), "{strange} in {html}");
        }
    }
}

#[tokio::test]
async fn what_was_typed_comes_back_as_text() {
    let web = web(&ALL);
    let error = ChatError::invalid_payload("no <i>\"name\"</i>");
    for (form, action) in [(Form::LogIn, "/login"), (Form::Register, "/register")] {
        let page = Answer::of(web.form(form, "{{reason}}\"><script>'&", Some(&error))).await;
        let html = page.text();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(html.contains(&format!("<form method=\"post\" action=\"{action}\">")), "{html}");
        assert!(
            html.contains("value=\"{{reason}}&#34;&#62;&#60;script&#62;&#39;&#38;\""),
            "{html}"
        );
        let reason = "role=\"alert\">no &#60;i&#62;&#34;name&#34;&#60;/i&#62;</p>";
        assert!(html.contains(reason), "{html}");
    }
}

#[tokio::test]
async fn a_new_form_has_no_reason_and_tells_the_shortest_password() {
    let page = Answer::of(web(&ALL).form(Form::Register, "", None)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("role=\"alert\"></p>"), "{}", page.text());
    assert!(page.text().contains("minlength=\"7\""), "{}", page.text());
    assert!(page.text().contains("at least 7 characters"), "{}", page.text());
}

#[tokio::test]
async fn without_a_protocol_that_the_client_speaks_its_page_says_which() {
    let without_two = web(&["tinychat", "one-to-one", "messenger"]);
    let page = Answer::of(without_two.chat()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("PROTOCOLS leaves out conversations, chatto."), "{}", page.text());
    assert!(page.text().contains("action=\"/logout\""), "{}", page.text());
    // These are 002's.
    assert_eq!(get(&without_two, "/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&without_two, "/").await.body.len(), 0);

    let without_accounts = web(&["conversations", "messenger", "chatto"]);
    for path in ["/", "/io"] {
        let page = get(&without_accounts, path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert!(page.text().contains("PROTOCOLS leaves out one-to-one."), "{}", page.text());
        assert!(!page.text().contains("/logout"), "{}", page.text());
    }
    assert_eq!(get(&without_accounts, "/status").await.status, StatusCode::OK);
}
