//! 002's accounts, and that accounts and sessions are the same for every protocol.

use journeys::{
    product,
    rest::{PASSWORD, Person, Site, bad_bodies, unique},
};
use serde_json::{Value, json};

fn account(name: &str) -> Value {
    json!({"username": name, "password": PASSWORD})
}

async fn log_in(site: &Site, name: &str) -> Person {
    let answer = site.post("/login").json(&account(name)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.person()
}

async fn is_alive(site: &Site, person: &Person) -> bool {
    let by_cookie = site.get("/api/conversations/").cookie(&person.cookie).await.status;
    let by_token = site.get("/api/verify").bearer(&person.token).await.status;
    assert_eq!(by_cookie, by_token, "cookie and token live and die together");
    by_cookie == 200
}

#[tokio::test]
async fn registering_and_logging_in_answer_name_and_token_and_a_session_cookie() {
    let site = product().await.site();
    let name = unique("Alice");
    for path in ["/register", "/login"] {
        let answer = site.post(path).json(&account(&name)).await;
        assert_eq!((answer.status, answer.fields()), (200, vec!["status", "token", "username"]));
        assert_eq!(
            (answer.text_of("status"), answer.text_of("username")),
            ("success".into(), name.clone())
        );
        let set = answer.header("set-cookie").expect("a cookie");
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
        assert!(is_alive(&site, &answer.person()).await);
    }
}

#[tokio::test]
async fn refusals_have_a_status_and_a_reason() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    for (path, body, http, status) in [
        ("/register", account(&alice.name), 409, "username taken"),
        ("/register", account(&alice.name.to_uppercase()), 409, "username taken"),
        ("/register", account("a b"), 400, "invalid username"),
        (
            "/register",
            json!({"username": unique("bob"), "password": "abc"}),
            400,
            "invalid password",
        ),
        ("/register", json!({"username": unique("bob")}), 400, "invalid payload"),
        (
            "/login",
            json!({"username": alice.name, "password": "wrong"}),
            401,
            "invalid credentials",
        ),
        ("/login", account(&unique("nobody")), 401, "invalid credentials"),
        ("/login", json!({"username": alice.name, "password": 7}), 400, "invalid payload"),
    ] {
        let answer = site.post(path).json(&body).await;
        assert_eq!(
            (answer.status, answer.text_of("status").as_str()),
            (http, status),
            "{answer:?}"
        );
        assert_eq!(answer.fields(), ["error", "status"]);
        assert_eq!(answer.cookie(), None);
    }
    for path in ["/register", "/login"] {
        for (body, reason) in bad_bodies() {
            let answer = site.post(path).body(body).await;
            assert_eq!(
                (answer.status, answer.text_of("status").as_str()),
                (400, "invalid payload")
            );
            assert!(answer.text_of("error").contains(reason), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn multipart_forms_are_told_what_to_send() {
    let site = product().await.site();
    for path in ["/register", "/login"] {
        let form = site.post(path).header("content-type", "multipart/form-data; boundary=x");
        let answer = form.body("username=al&password=secret").await;
        assert_eq!((answer.status, answer.text_of("status").as_str()), (415, "unsupported media"));
        assert!(answer.text_of("error").contains("JSON"));
    }
}

#[tokio::test]
async fn logging_out_ends_the_session_and_takes_the_cookie_away() {
    let site = product().await.site();
    for method in ["POST", "GET"] {
        let alice = site.newcomer("alice").await;
        let answer = site.ask(method, "/logout").cookie(&alice.cookie).await;
        answer.is(200, json!({"status": "success"}));
        assert_eq!(answer.cookie().as_deref(), Some(""));
        assert!(answer.header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")));
        assert!(!is_alive(&site, &alice).await);
    }
}

#[tokio::test]
async fn logging_out_by_token_ends_the_same_session() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    site.post("/logout").bearer(&alice.token).await.is(200, json!({"status": "success"}));
    assert!(!is_alive(&site, &alice).await);
}

#[tokio::test]
async fn logging_out_without_a_session_is_fine() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    for _ in 0..2 {
        site.post("/logout").cookie(&alice.cookie).await.is(200, json!({"status": "success"}));
    }
    site.post("/logout").await.is(200, json!({"status": "success"}));
    site.get("/logout")
        .cookie("rubbish")
        .bearer("rubbish")
        .await
        .is(200, json!({"status": "success"}));
}

#[tokio::test]
async fn the_sessions_of_one_user_end_one_by_one() {
    let site = product().await.site();
    let first = site.newcomer("alice").await;
    let second = log_in(&site, &first.name).await;
    assert_ne!(first.cookie, second.cookie);
    site.post("/logout").cookie(&first.cookie).await;
    assert!(!is_alive(&site, &first).await);
    assert!(is_alive(&site, &second).await);
}

#[tokio::test]
async fn an_account_is_the_same_for_every_protocol() {
    let site = product().await.site();
    let name = unique("Alice");
    site.post("/api/register").json(&account(&name)).await;
    let taken = site.post("/auth/register").json(&json!({"username": name.to_uppercase()})).await;
    taken.is(200, json!({"status": "username taken"}));
    assert_eq!(site.post("/register").json(&account(&name)).await.status, 409);
    assert_eq!(log_in(&site, &name.to_lowercase()).await.name, name);

    let token = site.post("/api/login").json(&account(&name)).await.text_of("token");
    let alice = Person { name: name.clone(), cookie: String::new(), token };
    let topic = json!({"title": unique("topic")});
    let made = site.post("/api/conversations").bearer(&alice.token).json(&topic).await;
    let said =
        site.post(&made.text_of("url")).bearer(&alice.token).json(&json!({"text": "hi"})).await;
    let shown = site.get(&said.text_of("url")).bearer(&alice.token).await;
    assert_eq!(shown.json["user"], *name);
}

#[tokio::test]
async fn secrets_are_never_in_an_answer_but_the_one_that_gives_them() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    for ask in [
        site.get("/api/verify").bearer(&alice.token),
        site.get("/api/verify").cookie(&alice.cookie),
        site.get("/api/conversations/").bearer(&alice.token),
        site.post("/login")
            .json(&json!({"username": alice.name, "password": format!("{PASSWORD}!")})),
        site.post("/register").json(&account(&alice.name)),
        site.post("/login").body(format!("{{\"username\": \"al\", \"password\": {PASSWORD}}}")),
        site.post("/logout").cookie(&alice.cookie),
    ] {
        let text = ask.await.text;
        for secret in [PASSWORD, &alice.cookie, &alice.token] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
