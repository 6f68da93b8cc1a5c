//! The mounted router, over a chat whose storage is down: routing, phrasing and headers, whatever
//! the chat would have said.

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
    response::IntoResponse as _,
};
use bytes::Bytes;
use chat_core::{
    Caller, Change, ChatError, ConversationId, Credential, Inbox, Login, MessageId, MessageText,
    Password, Result, Seq, Session, SessionId, SocketKey, Title, User, Username,
    media::Stored,
    model::{
        Conversation, ConversationPage, History, Message, NewMessage, Peer, Seen, Span, UserPage,
    },
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::{body::ACCOUNT_MAX, *};
use crate::address::Address;

/// What a browser with a session shows.
const COOKIE: &str = "session=a-secret-of-43-characters-as-we-give-them-_";
/// More than any answer here has.
const ANSWER_MAX: usize = 2 * 1024 * 1024;

struct Down;

/// Lets everybody knock.
struct Open;

#[async_trait]
impl Door for Open {
    async fn may_log_in(&self, _: Address, _: &Username) -> Result<()> {
        Ok(())
    }
    async fn came_in(&self, _: Address, _: &Username) {}
    async fn undecided(&self, _: Address, _: &Username) {}
    async fn may_register(&self, _: Address) -> Result<()> {
        Ok(())
    }
}

fn down<T>() -> Result<T> {
    Err(ChatError::unavailable("storage", "it is down"))
}

#[async_trait]
impl Chat for Down {
    async fn register(&self, _: Username, _: Option<Password>) -> Result<Login> {
        down()
    }
    async fn log_in(&self, _: Username, _: Password) -> Result<Login> {
        down()
    }
    async fn authenticate(&self, _: Credential) -> Result<Session> {
        down()
    }
    async fn end_session(&self, _: SessionId) -> Result<()> {
        down()
    }
    async fn live_sessions(&self, _: Vec<SessionId>) -> Result<Vec<SessionId>> {
        down()
    }
    async fn admit_guest(&self, _: Username) -> Result<Caller> {
        down()
    }
    async fn user(&self, _: Peer) -> Result<User> {
        down()
    }
    async fn users(&self, _: Option<Username>, _: u32) -> Result<UserPage> {
        down()
    }
    async fn change_password(&self, _: &Session, _: Password, _: Password) -> Result<()> {
        down()
    }
    async fn delete_account(&self, _: &User) -> Result<()> {
        down()
    }
    async fn create_room(&self, _: &Caller, _: Title) -> Result<Conversation> {
        down()
    }
    async fn conversation(&self, _: &Caller, _: ConversationId) -> Result<Conversation> {
        down()
    }
    async fn rooms(&self, _: Option<String>, _: u32) -> Result<ConversationPage> {
        down()
    }
    async fn open_direct(&self, _: &Caller, _: Peer) -> Result<Conversation> {
        down()
    }
    async fn directs(&self, _: &Caller, _: u32) -> Result<Vec<Conversation>> {
        down()
    }
    async fn inbox(&self, _: &Caller, _: u32, _: u32) -> Result<Inbox> {
        down()
    }
    async fn post_run(
        &self,
        _: &Caller,
        run: Vec<NewMessage>,
        _: Option<SocketKey>,
    ) -> Vec<Result<Message>> {
        run.iter().map(|_| down()).collect()
    }
    async fn edit(&self, _: &Caller, _: MessageId, _: MessageText) -> Result<Message> {
        down()
    }
    async fn delete(&self, _: &Caller, _: MessageId) -> Result<()> {
        down()
    }
    async fn message(&self, _: &Caller, _: MessageId) -> Result<Message> {
        down()
    }
    async fn history(&self, _: &Caller, _: ConversationId, _: Span, _: u32) -> Result<History> {
        down()
    }
    async fn mark_read(&self, _: &Caller, _: MessageId) -> Result<()> {
        down()
    }
    async fn unread_count(&self, _: &Caller, _: ConversationId) -> Result<u64> {
        down()
    }
    async fn mark_seen(
        &self,
        _: &Caller,
        _: ConversationId,
        _: Option<Seen>,
    ) -> Result<Option<OffsetDateTime>> {
        down()
    }
    async fn changes(&self, _: ConversationId, _: Seq, _: u32) -> Result<Vec<Change>> {
        down()
    }
    async fn heads(&self, _: Vec<ConversationId>) -> Result<Vec<(ConversationId, Seq)>> {
        down()
    }
}

#[async_trait]
impl Media for Down {
    async fn put(&self, _: &Caller, _: Bytes) -> Result<String> {
        down()
    }
    async fn get(&self, _: &str) -> Result<Stored> {
        down()
    }
}

impl Pages for Down {
    fn chat(&self) -> Response {
        Json("chat").into_response()
    }
    fn form(&self, form: pages::Form, name: &str, refused: Option<&ChatError>) -> Response {
        let code = refused.map(|error| error.code().as_str());
        Json(json!([format!("{form:?}"), name, code])).into_response()
    }
    fn ask_to_log_out(&self) -> Response {
        (StatusCode::FORBIDDEN, Json("log out?")).into_response()
    }
    fn failed(&self, error: &ChatError) -> Response {
        Json(error.code().as_str()).into_response()
    }
}

fn app() -> OpenApiRouter {
    within(0, 0)
}

/// Where so many messages and queries a second are allowed.
fn within(messages: u32, queries: u32) -> OpenApiRouter {
    let state = RestState {
        chat: Arc::new(Down),
        media: Arc::new(Down),
        pages: Arc::new(Down),
        protocols: crate::PROTOCOLS.iter().map(ToString::to_string).collect(),
        limits: Limits::default(),
        secure_cookies: true,
        session_ttl: Duration::from_secs(3_600),
        guests: true,
        lobby_max: 1_000,
        origins: ["https://app.example".to_owned()].into(),
        door: Arc::new(Open),
        budget: Arc::new(Budget::new(messages, queries)),
        trusted_hops: 0,
    };
    router(state)
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

async fn ask(method: &str, path: &str, cookie: bool, body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if cookie {
        request = request.header("cookie", COOKIE);
    }
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let response = Router::from(app()).oneshot(request).await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = to_bytes(response.into_body(), ANSWER_MAX).await.expect("a body");
    let body = match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&bytes).expect("JSON"),
    };
    Answer { status, headers, body }
}

#[tokio::test]
async fn with_storage_down_every_dialect_says_unavailable_in_its_own_words() {
    let account = r#"{"username": "alice", "password": "long enough"}"#;
    let sentence = "the service is unavailable for the moment, try again";
    for (method, path, expected) in [
        ("POST", "/auth/register", json!({"status": "unavailable", "error": sentence})),
        ("GET", "/api/conversations", json!({"status": "unavailable", "error": sentence})),
        ("GET", "/api/conversations/lobby/1/", json!({"status": "unavailable", "error": sentence})),
        ("POST", "/api/login", json!({"code": "unavailable", "error": sentence})),
        ("GET", "/api/verify", json!({"code": "unavailable", "error": sentence})),
        ("GET", "/api/rooms", json!({"code": "unavailable", "error": sentence})),
        ("GET", "/api/inbox", json!({"code": "unavailable", "error": sentence})),
        ("POST", "/api/inbox/lobby/seen", json!({"code": "unavailable", "error": sentence})),
        ("POST", "/register", json!({"status": "unavailable", "error": sentence})),
        ("POST", "/api/auth/login", json!({"code": "unavailable", "error": sentence})),
        ("POST", "/api/upload/files", json!({"code": "unavailable", "error": sentence})),
        ("DELETE", "/api/auth/account", json!({"code": "unavailable", "error": sentence})),
        ("GET", "/media/AAAAAAAAAAAAAAAAAAAAAA", json!({"code": "unavailable", "error": sentence})),
        ("GET", "/logout", json!({"status": "unavailable", "error": sentence})),
        ("GET", "/api/v1/messages", json!({"body": "Error retrieving messages"})),
        ("PATCH", "/api/v1/messages/1", json!({"body": "Error sending message"})),
    ] {
        let answer = ask(method, path, true, account).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.body, expected, "{path}");
        assert_eq!(answer.headers["retry-after"], "1", "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert!(!answer.headers.contains_key("set-cookie"), "{path}");
    }
}

#[tokio::test]
async fn browsers_are_answered_by_pages() {
    for path in ["/", "/io"] {
        let stranger = ask("GET", path, false, "").await;
        assert_eq!(
            (stranger.status, &stranger.headers["location"]),
            (StatusCode::SEE_OTHER, &"/login".parse().expect("a header"))
        );
        assert_eq!(ask("GET", path, true, "").await.body, json!("unavailable"));
    }
    assert_eq!(ask("GET", "/login", false, "").await.body, json!(["LogIn", "", null]));
    assert_eq!(ask("GET", "/register", false, "").await.body, json!(["Register", "", null]));
    let form =
        Request::post("/register").header("content-type", "application/x-www-form-urlencoded");
    let typed = "username=alice+b&password=long+enough";
    let response =
        Router::from(app()).oneshot(form.body(Body::from(typed)).expect("a request")).await;
    let body =
        to_bytes(response.expect("an answer").into_body(), ANSWER_MAX).await.expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body, json!(["Register", "alice b", "invalid_username"]));
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_with_those_that_it_takes() {
    for (method, path, allowed) in [
        ("DELETE", "/api/conversations", "GET,HEAD,POST"),
        ("DELETE", "/api/conversations/", "GET,HEAD,POST"),
        ("PUT", "/api/conversations/lobby/", "GET,HEAD,POST"),
        ("POST", "/api/conversations/lobby/1", "GET,HEAD,PATCH,DELETE"),
        ("PUT", "/api/v1/messages", "GET,HEAD,POST"),
        ("GET", "/api/v1/messages/1", "PATCH"),
        ("GET", "/auth/register/", "POST"),
        ("POST", "/api/rooms", "GET,HEAD"),
        ("POST", "/api/inbox", "GET,HEAD"),
        ("GET", "/api/inbox/lobby/seen", "POST"),
        ("PUT", "/login", "GET,HEAD,POST"),
        ("POST", "/", "GET,HEAD"),
    ] {
        let answer = ask(method, path, false, "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.headers["allow"], allowed, "{method} {path}");
        assert!(answer.body.is_object());
    }
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_answered_in_json() {
    let deeper = ask("GET", "/api/conversations/lobby/1/reactions/2", false, "").await;
    assert_eq!(
        (deeper.status, deeper.body),
        (StatusCode::NOT_FOUND, json!({"status": "not found"}))
    );
    let elsewhere = ask("GET", "/nowhere", false, "").await;
    assert_eq!(elsewhere.status, 404);
    assert_eq!(elsewhere.body["code"], "not_found");
    assert_eq!(elsewhere.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn without_credentials_nothing_is_asked_of_the_chat() {
    for (method, path) in [
        ("GET", "/api/conversations/"),
        ("POST", "/api/conversations"),
        ("POST", "/api/conversations/nowhere"),
        ("DELETE", "/api/conversations/lobby/1/"),
    ] {
        let answer = ask(method, path, false, "no JSON").await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.body, json!({"status": "unauthorised"}));
    }
    assert_eq!(ask("POST", "/logout", false, "").await.status, 200);
    for (method, path) in
        [("GET", "/api/verify"), ("GET", "/api/inbox"), ("POST", "/api/inbox/lobby/seen")]
    {
        assert_eq!(
            ask(method, path, false, "no JSON").await.body["code"],
            "unauthorised",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_too_large_is_told_so() {
    let body = format!(r#"{{"username": "{}"}}"#, "x".repeat(ACCOUNT_MAX));
    let answer = ask("POST", "/auth/register", false, &body).await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("bad request"))
    );
    let answer = ask("POST", "/api/register", false, &body).await;
    assert_eq!(answer.body["code"], "payload_too_large");
}

/// What is answered to a request with the cookie and these headers.
async fn from_a_page(method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path);
    let all = [("host", "chat.example"), ("cookie", COOKIE)];
    let all = all.iter().chain(headers);
    let request = all.fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Body::empty()).expect("a request");
    let response = Router::from(app()).oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), ANSWER_MAX).await.expect("a body");
    (status, serde_json::from_slice(&bytes).expect("JSON"))
}

const FOREIGN: [&[(&str, &str)]; 4] = [
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("sec-fetch-site", "cross-site")],
    &[("origin", "https://chat.example"), ("sec-fetch-site", "same-site")],
];

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing_and_each_dialect_says_so_in_its_own_words() {
    let sentence = "pages of other sites may not do this";
    let by_code = || json!({"code": "forbidden", "error": sentence});
    for (method, path, expected) in [
        ("POST", "/api/v1/messages", json!({"body": "Error sending message"})),
        ("PATCH", "/api/v1/messages/1", json!({"body": "Error sending message"})),
        ("POST", "/auth/register", json!({"status": "unauthorised"})),
        ("POST", "/api/conversations/lobby/", json!({"status": "unauthorised"})),
        ("DELETE", "/api/conversations/lobby/1", json!({"status": "unauthorised"})),
        ("POST", "/register", json!({"status": "forbidden", "error": sentence})),
        ("POST", "/login", json!({"status": "forbidden", "error": sentence})),
        ("POST", "/logout", json!({"status": "forbidden", "error": sentence})),
        ("POST", "/api/auth/login", by_code()),
        ("POST", "/api/upload/files", by_code()),
        ("DELETE", "/api/auth/account", by_code()),
        ("POST", "/api/login", by_code()),
        ("POST", "/api/verify", by_code()),
        ("POST", "/api/inbox/lobby/seen", by_code()),
    ] {
        for page in FOREIGN {
            assert_eq!(from_a_page(method, path, page).await, (403, expected.clone()), "{path}");
        }
        // The chat is asked: it is down.
        let passes: [&[(&str, &str)]; 5] = [
            &[],
            &[("origin", "https://chat.example")],
            &[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
            &[("origin", "http://outside.example"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://evil.example"), ("authorization", "Bearer a.b.c")],
        ];
        for page in passes {
            assert_ne!(from_a_page(method, path, page).await.0, 403, "{path} {page:?}");
        }
    }
}

#[tokio::test]
async fn another_sites_link_logs_nobody_out_and_whoever_followed_it_is_asked() {
    let link = ("sec-fetch-site", "cross-site");
    for method in ["GET", "POST"] {
        assert_eq!(from_a_page(method, "/logout", &[link]).await.0, 403);
        let visitor = [link, ("accept", "text/html,*/*")];
        assert_eq!(from_a_page(method, "/logout", &visitor).await, (403, json!("log out?")));
    }
    let typed = ("sec-fetch-site", "none");
    assert_eq!(from_a_page("GET", "/logout", &[typed]).await.0, 503, "the chat is asked");
    let form =
        [link, ("accept", "text/html,*/*"), ("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(from_a_page("POST", "/login", &form).await.1, json!("forbidden"), "a page");
}

#[tokio::test]
async fn pages_of_other_origins_may_still_ask_for_what_changes_nothing() {
    for page in FOREIGN {
        for path in ["/api/rooms", "/api/v1/messages", "/api/conversations/"] {
            assert_eq!(from_a_page("GET", path, page).await.0, 503, "{path}");
        }
    }
}

#[test]
fn the_document_has_each_canonical_path_once() {
    let document = app().into_openapi();
    let paths: Vec<_> = document.paths.paths.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/api/auth/account",
            "/api/auth/login",
            "/api/auth/password",
            "/api/auth/register",
            "/api/conversations/",
            "/api/conversations/{id}",
            "/api/conversations/{id}/{messageid}",
            "/api/inbox",
            "/api/inbox/{id}/seen",
            "/api/login",
            "/api/register",
            "/api/rooms",
            "/api/upload/files",
            "/api/v1/messages",
            "/api/v1/messages/{id}",
            "/api/verify",
            "/auth/register",
            "/login",
            "/logout",
            "/media/{id}",
            "/register",
        ]
    );
}

/// What this answers to so many requests of one kind, from one address.
async fn flood(
    app: &Router,
    times: usize,
    method: &str,
    path: &str,
) -> Vec<(StatusCode, HeaderMap)> {
    let mut answers = Vec::with_capacity(times);
    for _ in 0..times {
        let request = Request::builder().method(method).uri(path).body(Body::empty());
        let answer = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
        answers.push((answer.status(), answer.headers().clone()));
    }
    answers
}

/// Every route that there is, with some path that leads to it.
fn all_routes() -> Vec<(String, String)> {
    let document = serde_json::to_value(app().get_openapi()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let path = path.replace("{id}", "lobby").replace("{messageid}", "1");
        let methods = methods.as_object().expect("methods").keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    let undocumented =
        ["/", "/io", "/register", "/login", "/api/conversations", "/api/conversations/a/b/c"];
    operations.chain(undocumented.map(|path| ("GET".to_owned(), path.to_owned()))).collect()
}

#[tokio::test]
async fn every_route_has_a_budget_and_says_when_there_is_more() {
    let routes = all_routes();
    assert!(routes.len() > 30, "{routes:?}");
    for (method, path) in routes {
        let app = Router::from(within(1, 1));
        let answers = flood(&app, 12, &method, &path).await;
        let limited =
            |(status, _): &&(StatusCode, HeaderMap)| *status == StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(answers.iter().filter(limited).count(), 2, "{method} {path}: {answers:?}");
        let (_, headers) = answers.last().expect("the last");
        assert_eq!(headers["retry-after"], "1", "{method} {path}");
        assert_eq!(headers["cache-control"], "no-store", "{method} {path}");
    }
}

#[tokio::test]
async fn questions_and_messages_are_counted_apart_and_each_dialect_words_its_refusal() {
    let sentence = "too many requests, slow down";
    for (method, path, expected) in [
        ("GET", "/api/v1/messages", json!({"body": "Error retrieving messages"})),
        ("POST", "/api/v1/messages", json!({"body": "Error sending message"})),
        ("POST", "/api/conversations/", json!({"status": "rate limited", "error": sentence})),
        ("POST", "/login", json!({"status": "rate limited", "error": sentence})),
        ("DELETE", "/api/auth/account", json!({"code": "rate_limited", "error": sentence})),
        ("GET", "/api/rooms", json!({"code": "rate_limited", "error": sentence})),
        ("GET", "/api/inbox", json!({"code": "rate_limited", "error": sentence})),
    ] {
        let app = Router::from(within(1, 1));
        flood(&app, 10, method, path).await;
        let request = Request::builder().method(method).uri(path).body(Body::empty());
        let refused = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        let body = to_bytes(refused.into_body(), ANSWER_MAX).await.expect("a body");
        assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON"), expected, "{path}");
        let (other, there) = match method {
            "GET" => ("POST", "/api/conversations/"),
            _ => ("GET", "/api/rooms"),
        };
        let is_other_class = path != "/login";
        let answers = flood(&app, 1, other, there).await;
        assert_eq!(answers[0].0 != StatusCode::TOO_MANY_REQUESTS, is_other_class, "{path}");
    }
}

#[tokio::test]
async fn a_link_that_is_only_fetched_ahead_logs_nobody_out() {
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        let request =
            Request::get("/logout").header(name, value).header("cookie", "session=s3cret");
        let request = request.body(Body::empty()).expect("a request");
        let answer = Router::from(app()).oneshot(request).await.expect("an answer");
        // Whoever is asked to end the session would say that it is down.
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(!answer.headers().contains_key("set-cookie"));
    }
}
