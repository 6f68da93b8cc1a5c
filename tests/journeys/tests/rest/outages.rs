//! What REST says while what it needs is down, and that it recovers by itself.

use std::time::{Duration, Instant};

use harness::Arena;
use journeys::rest::{Answer, Ask, PASSWORD, Person, Site, unique};
use serde_json::{Value, json};

async fn product() -> (Arena, Site) {
    let mut options = Arena::options_with_own_servers("outages").expect("options");
    options.gateways = 0;
    let arena = Arena::own(options).await.expect("the product comes up");
    let site = Site::at(arena.stack.urls().api(1));
    (arena, site)
}

fn unavailable(answer: &Answer, (field, value): (&str, &str)) {
    assert_eq!((answer.status, &answer.json[field]), (503, &json!(value)), "{answer:?}");
    assert!(!answer.text_of("error").is_empty());
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.cookie(), None);
}

async fn until_it_works(ask: impl Fn() -> Ask) -> Answer {
    let began = Instant::now();
    loop {
        let answer = ask().await;
        if answer.status != 503 {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it does not recover: {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn account(name: &str) -> Value {
    json!({"username": name, "password": PASSWORD})
}

fn post(site: &Site, who: &Person, body: &Value) -> Ask {
    site.post("/api/conversations/lobby").cookie(&who.cookie).json(body)
}

#[tokio::test]
async fn without_the_database_every_dialect_says_unavailable_and_a_retry_stores_once() {
    let (arena, site) = product().await;
    let alice = site.newcomer("alice").await;
    let database = arena.stack.mariadb().expect("a private one");
    database.kill().await.expect("it dies");

    let once = json!({"text": "once", "clientId": unique("key")});
    unavailable(&post(&site, &alice, &once).await, ("status", "unavailable"));
    let list = site.get("/api/conversations/").cookie(&alice.cookie).await;
    unavailable(&list, ("status", "unavailable"));
    unavailable(&site.get("/api/rooms").await, ("code", "unavailable"));
    let log_in = site.post("/login").json(&account(&alice.name)).await;
    unavailable(&log_in, ("status", "unavailable"));
    // Sessions are not in the database.
    assert_eq!(site.get("/api/verify").cookie(&alice.cookie).await.status, 200);

    database.start().await.expect("it starts");
    let stored = until_it_works(|| post(&site, &alice, &once)).await;
    post(&site, &alice, &once).await.is(200, stored.json);
    assert_eq!(site.texts(&alice, "/api/conversations/lobby").await, ["once"]);
}

#[tokio::test]
async fn without_redis_nobody_is_logged_out_and_nobody_gets_in() {
    let (arena, site) = product().await;
    let alice = site.newcomer("alice").await;
    let redis = arena.stack.redis().expect("a private one");
    redis.pause().expect("it stops");

    let verify = site.get("/api/verify").cookie(&alice.cookie).await;
    unavailable(&verify, ("code", "unavailable"));
    let list = site.get("/api/conversations/").bearer(&alice.token).await;
    unavailable(&list, ("status", "unavailable"));
    let log_out = site.post("/logout").cookie(&alice.cookie).await;
    unavailable(&log_out, ("status", "unavailable"));
    let bob = account(&unique("bob"));
    unavailable(&site.post("/api/register").json(&bob).await, ("code", "unavailable"));

    redis.resume().expect("it goes on");
    let verify = until_it_works(|| site.get("/api/verify").cookie(&alice.cookie)).await;
    verify.is(200, json!({"username": alice.name}));
    // The name was not lost to the attempt that failed.
    assert_eq!(until_it_works(|| site.post("/api/register").json(&bob)).await.status, 201);
}
