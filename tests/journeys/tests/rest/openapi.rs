//! The OpenAPI document against what is really served.

use journeys::{
    product,
    rest::{Answer, PASSWORD, Site, unique},
};
use serde_json::{Value, json};

/// Every documented path with its methods, in the order of the document.
fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let mut operations = Vec::new();
    for (path, item) in paths {
        let item = item.as_object().expect("operations");
        let known = item.keys().filter(|key| methods.contains(&key.as_str()));
        operations.extend(known.map(|method| (method.to_uppercase(), path.clone())));
    }
    operations
}

async fn document(site: &Site) -> Value {
    let answer = site.get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json
}

#[tokio::test]
async fn every_documented_operation_is_served() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let said = site.says(&alice, "/api/conversations/lobby", "hi").await;
    let message = said.rsplit('/').next().expect("an id");
    for (method, path) in operations(&document(&site).await) {
        if path == "/media/{id}" {
            // A file that is not there and a route that is not there are both 404.
            assert_eq!(site.get("/media/none").await.text_of("error"), "there is no such file");
            continue;
        }
        let path = path.replace("{id}", "lobby").replace("{messageid}", message);
        assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
        let answer = site.ask(&method, &path).body("rubbish").await;
        assert!(![404, 405, 500, 501].contains(&answer.status), "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn every_route_of_the_protocols_is_documented() {
    let document = document(&product().await.site()).await;
    let operations = operations(&document);
    for (method, path) in [
        ("POST", "/auth/register"),
        ("GET", "/api/conversations/"),
        ("POST", "/api/conversations/"),
        ("GET", "/api/conversations/{id}"),
        ("POST", "/api/conversations/{id}"),
        ("GET", "/api/conversations/{id}/{messageid}"),
        ("PATCH", "/api/conversations/{id}/{messageid}"),
        ("DELETE", "/api/conversations/{id}/{messageid}"),
        ("GET", "/api/v1/messages"),
        ("POST", "/api/v1/messages"),
        ("PATCH", "/api/v1/messages/{id}"),
        ("POST", "/api/auth/register"),
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/password"),
        ("POST", "/api/upload/files"),
        ("DELETE", "/api/auth/account"),
        ("GET", "/media/{id}"),
        ("POST", "/register"),
        ("POST", "/login"),
        ("POST", "/logout"),
        ("GET", "/logout"),
        ("POST", "/api/register"),
        ("POST", "/api/login"),
        ("GET", "/api/verify"),
        ("POST", "/api/verify"),
        ("GET", "/api/rooms"),
        ("GET", "/api/inbox"),
        ("POST", "/api/inbox/{id}/seen"),
    ] {
        assert!(operations.contains(&(method.to_owned(), path.to_owned())), "{method} {path}");
    }
}

#[tokio::test]
async fn operations_have_names_of_their_own_and_say_what_they_answer() {
    let document = document(&product().await.site()).await;
    let mut names = std::collections::HashSet::new();
    for (method, path) in operations(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let name = operation["operationId"].as_str().expect("a name");
        assert!(names.insert(name.to_owned()), "two operations are called {name}");
        assert!(operation["summary"].is_string(), "{name}");
        for (status, response) in operation["responses"].as_object().expect("answers") {
            let contents = response["content"].as_object().into_iter().flatten();
            let json = contents.clone().find(|(kind, _)| *kind == "application/json");
            let (_, content) = json.or(contents.clone().next()).expect("a content");
            let schema = &content["schema"];
            assert!(schema.is_object(), "{name} does not say what {status} looks like");
        }
    }
}

#[tokio::test]
async fn those_who_need_a_session_say_so() {
    let document = document(&product().await.site()).await;
    for (method, path) in operations(&document) {
        let security = &document["paths"][&path][method.to_lowercase()]["security"];
        if path.starts_with("/api/conversations") || path.starts_with("/api/inbox") {
            assert_eq!(*security, json!([{"session": []}, {"bearer": []}]), "{method} {path}");
        }
    }
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["session"], json!({"type": "apiKey", "in": "cookie", "name": "session"}));
    assert_eq!(
        (&schemes["bearer"]["type"], &schemes["bearer"]["scheme"]),
        (&json!("http"), &json!("bearer"))
    );
}

/// The answer must be of the documented shape for its status.
#[track_caller]
fn matches(document: &Value, method: &str, path: &str, answer: &Answer) {
    let responses = &document["paths"][path][method]["responses"];
    let response = &responses[answer.status.to_string()];
    let mut schema = response["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{method} {path} answers an undocumented {}", answer.status);
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> =
        validator.iter_errors(&answer.json).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{method} {path} {}: {errors:?} in {}", answer.status, answer.text);
}

#[tokio::test]
async fn real_answers_of_001_are_as_documented() {
    let site = product().await.site();
    let document = document(&site).await;
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let topic = site.topic(&alice, "topic").await;
    let said = site.says(&bob, &topic, "hi").await;
    let body = |body: Value| body.to_string();

    let (all, one, message) =
        ("/api/conversations/", "/api/conversations/{id}", "/api/conversations/{id}/{messageid}");
    let nowhere = "/api/conversations/nowhere";
    let elsewhere = "/api/conversations/lobby/99999999";
    let known = body(json!({"username": alice.name}));
    let title = unique("topic");
    for (status, method, path, at, sent) in [
        (200, "post", "/auth/register", "/auth/register", body(json!({"username": unique("new")}))),
        (200, "post", "/auth/register", "/auth/register", known),
        (400, "post", "/auth/register", "/auth/register", body(json!({"username": ""}))),
        (413, "post", "/auth/register", "/auth/register", "x".repeat(3_000_000)),
        (200, "get", all, all, String::new()),
        (200, "get", all, "/api/conversations/?limit=1", String::new()),
        (400, "get", all, "/api/conversations/?limit=x", String::new()),
        (200, "post", all, all, body(json!({"title": title}))),
        (409, "post", all, all, body(json!({"title": title}))),
        (400, "post", all, all, "rubbish".to_owned()),
        (200, "get", one, &topic, String::new()),
        (404, "get", one, nowhere, String::new()),
        (400, "get", one, "/api/conversations/lobby?N=0", String::new()),
        (404, "get", one, "/api/conversations/lobby?before=99999999", String::new()),
        (200, "post", one, &topic, body(json!({"text": "hi"}))),
        (400, "post", one, &topic, body(json!({"text": ""}))),
        (404, "post", one, nowhere, body(json!({"text": "hi"}))),
        (200, "get", message, &said, String::new()),
        (404, "get", message, elsewhere, String::new()),
        (403, "patch", message, &said, body(json!({"text": "hi"}))),
        (400, "patch", message, &said, body(json!({"text": ""}))),
        (404, "patch", message, elsewhere, body(json!({"text": "hi"}))),
        (403, "delete", message, &said, String::new()),
        (404, "delete", message, elsewhere, String::new()),
    ] {
        let answer = site.ask(&method.to_uppercase(), at).cookie(&alice.cookie).body(sent).await;
        assert_eq!(answer.status, status, "{method} {at}: {answer:?}");
        matches(&document, method, path, &answer);
    }
    for (method, path, at) in
        [("get", all, all), ("post", one, topic.as_str()), ("delete", message, &said)]
    {
        let answer = site.ask(&method.to_uppercase(), at).body("{}").await;
        assert_eq!(answer.status, 401);
        matches(&document, method, path, &answer);
    }
    let deleted = site.delete(&said).cookie(&bob.cookie).await;
    matches(&document, "delete", message, &deleted);
}

#[tokio::test]
async fn real_answers_of_the_inbox_are_as_documented() {
    let site = product().await.site();
    let document = document(&site).await;
    let alice = site.newcomer("alice").await;
    let said = site.says(&alice, "/api/conversations/lobby", "hi").await;
    let id = json!({"id": said.rsplit('/').next()}).to_string();
    let (list, seen) = ("/api/inbox", "/api/inbox/{id}/seen");
    let lobby = "/api/inbox/lobby/seen";
    for (status, method, path, at, sent) in [
        (200, "get", list, list, String::new()),
        (400, "get", list, "/api/inbox?rooms=x", String::new()),
        (200, "post", seen, lobby, id.clone()),
        (400, "post", seen, lobby, "rubbish".to_owned()),
        (404, "post", seen, "/api/inbox/nowhere/seen", id.clone()),
        (404, "post", seen, lobby, json!({"id": 99_999_999}).to_string()),
        (413, "post", seen, lobby, "x".repeat(3_000_000)),
    ] {
        let answer = site.ask(&method.to_uppercase(), at).bearer(&alice.token).body(sent).await;
        assert_eq!(answer.status, status, "{method} {at}: {answer:?}");
        matches(&document, method, path, &answer);
    }
    for (method, path, at) in [("get", list, list), ("post", seen, lobby)] {
        let stranger = site.ask(&method.to_uppercase(), at).body("{}").await;
        assert_eq!(stranger.status, 401);
        matches(&document, method, path, &stranger);
    }
}

#[tokio::test]
async fn real_answers_of_000_are_as_documented() {
    let site = product().await.site();
    let document = document(&site).await;
    let alice = site.newcomer("alice").await;
    let (all, one) = ("/api/v1/messages", "/api/v1/messages/{id}");
    let submitted = json!({"author": alice.name, "content": "hi"}).to_string();
    for (status, method, path, at, sent) in [
        (200, "post", all, all, submitted.clone()),
        (400, "post", all, all, "rubbish".to_owned()),
        (200, "get", all, all, String::new()),
        (400, "get", all, "/api/v1/messages?limit=0", String::new()),
        (400, "patch", one, "/api/v1/messages/1", "rubbish".to_owned()),
        (404, "patch", one, "/api/v1/messages/99999999", submitted.clone()),
        (413, "patch", one, "/api/v1/messages/1", "x".repeat(3_000_000)),
    ] {
        let answer = site.ask(&method.to_uppercase(), at).bearer(&alice.token).body(sent).await;
        assert_eq!(answer.status, status, "{method} {at}: {answer:?}");
        matches(&document, method, path, &answer);
    }
    let stranger = site.ask("PATCH", "/api/v1/messages/1").body(submitted).await;
    assert_eq!(stranger.status, 401);
    matches(&document, "patch", one, &stranger);
}

#[tokio::test]
async fn real_answers_of_002_and_004_are_as_documented() {
    let site = product().await.site();
    let document = document(&site).await;
    let alice = site.newcomer("alice").await;
    let account =
        |name: &str, password: &str| json!({"username": name, "password": password}).to_string();
    let known = || account(&alice.name, PASSWORD);
    let wrong = || account(&alice.name, "wrong");
    for (status, method, path, sent) in [
        (200, "post", "/register", account(&unique("new"), PASSWORD)),
        (409, "post", "/register", known()),
        (400, "post", "/register", "rubbish".to_owned()),
        (200, "post", "/login", known()),
        (401, "post", "/login", wrong()),
        (400, "post", "/login", "{}".to_owned()),
        (201, "post", "/api/register", account(&unique("new"), PASSWORD)),
        (409, "post", "/api/register", known()),
        (400, "post", "/api/register", account("a b", PASSWORD)),
        (413, "post", "/api/register", "x".repeat(3_000_000)),
        (200, "post", "/api/login", known()),
        (401, "post", "/api/login", wrong()),
        (200, "get", "/api/verify", String::new()),
        (200, "post", "/api/verify", String::new()),
        (401, "post", "/api/verify", json!({"token": "rubbish"}).to_string()),
        (400, "post", "/api/verify", "[]".to_owned()),
        (200, "get", "/api/rooms", String::new()),
        (200, "get", "/logout", String::new()),
        (200, "post", "/logout", String::new()),
    ] {
        let answer = site.ask(&method.to_uppercase(), path).bearer(&alice.token).body(sent).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        matches(&document, method, path, &answer);
    }
    let form = site.post("/login").header("content-type", "multipart/form-data; boundary=x");
    let answer = form.body("a=b").await;
    assert_eq!(answer.status, 415);
    matches(&document, "post", "/login", &answer);
}

#[tokio::test]
async fn real_answers_of_003_are_as_documented() {
    let site = product().await.site();
    let document = document(&site).await;
    let alice = site.newcomer("alice").await;
    let account =
        |name: &str, password: &str| json!({"username": name, "password": password}).to_string();
    let passwords = |current: &str| json!({"current": current, "new": PASSWORD}).to_string();
    let new = unique("new");
    for (status, method, path, sent) in [
        (201, "post", "/api/auth/register", account(&new, PASSWORD)),
        (409, "post", "/api/auth/register", account(&new, PASSWORD)),
        (400, "post", "/api/auth/register", account("a b", "")),
        (413, "post", "/api/auth/register", "x".repeat(3_000_000)),
        (200, "post", "/api/auth/login", account(&new, PASSWORD)),
        (401, "post", "/api/auth/login", account(&new, "wrong")),
        (400, "post", "/api/auth/login", "[]".to_owned()),
        (200, "post", "/api/auth/password", passwords(PASSWORD)),
        (401, "post", "/api/auth/password", passwords("wrong")),
        (400, "post", "/api/auth/password", "rubbish".to_owned()),
        (413, "post", "/api/auth/password", "x".repeat(3_000_000)),
        (400, "post", "/api/upload/files", "rubbish".to_owned()),
        (400, "delete", "/api/auth/account", "rubbish".to_owned()),
        (401, "delete", "/api/auth/account", account(&new, "wrong")),
        (200, "delete", "/api/auth/account", account(&new, PASSWORD)),
        (200, "delete", "/api/auth/account", String::new()),
        (401, "post", "/api/upload/files", String::new()),
    ] {
        let answer = site.ask(&method.to_uppercase(), path).bearer(&alice.token).body(sent).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        matches(&document, method, path, &answer);
    }
    matches(&document, "get", "/media/{id}", &site.get("/media/none").await);
}
