//! 001's conversations: made, listed, read, and what is deleted from them.

use journeys::{
    product,
    rest::{Site, fields, is_timestamp, unique},
};
use serde_json::{Value, json};

async fn list(site: &Site, cookie: &str, query: &str) -> Value {
    let answer = site.get(&format!("/api/conversations/{query}")).cookie(cookie).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

fn urls(list: &Value) -> Vec<String> {
    let rows = list["conversations"].as_array().expect("an array");
    rows.iter().map(|row| row["url"].as_str().expect("a url").to_owned()).collect()
}

async fn msgcount(site: &Site, cookie: &str, url: &str) -> u64 {
    let list = list(site, cookie, "?limit=1000").await;
    let rows = list["conversations"].as_array().expect("an array");
    let row = rows.iter().find(|row| row["url"] == url).expect("it is in the list");
    row["msgcount"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_new_conversation_answers_where_it_is_and_is_first_in_the_list() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let title = unique("Räume & <b>Zimmer</b> 👋");
    let answer =
        site.post("/api/conversations/").cookie(&alice.cookie).json(&json!({"title": title})).await;
    assert_eq!(answer.fields(), ["id", "msgcount", "status", "url"]);
    let (id, url) = (answer.text_of("id"), answer.text_of("url"));
    assert_eq!(url, format!("/api/conversations/{id}"));
    answer.is(200, json!({"status": "success", "id": id, "url": url, "msgcount": 0}));

    let list = list(&site, &alice.cookie, "?limit=1000").await;
    let rows = list["conversations"].as_array().expect("an array");
    let row = rows.iter().find(|row| row["id"] == *id).expect("it is there");
    assert_eq!(*row, json!({"id": id, "title": title, "url": url, "msgcount": 0}));
}

#[tokio::test]
async fn the_lobby_is_a_conversation_like_the_others() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let list = list(&site, &alice.cookie, "?limit=1000").await;
    let rows = list["conversations"].as_array().expect("an array");
    let lobby = rows.iter().find(|row| row["id"] == "lobby").expect("it is there");
    assert_eq!(
        (&lobby["title"], &lobby["url"]),
        (&json!("Lobby"), &json!("/api/conversations/lobby"))
    );

    let url = site.says(&alice, "/api/conversations/lobby", "hello, lobby").await;
    assert_eq!(site.get(&url).cookie(&alice.cookie).await.json["text"], "hello, lobby");
}

#[tokio::test]
async fn a_title_is_taken_in_every_letter_case() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let title = unique("École");
    for (title, status) in [(title.clone(), 200), (title.clone(), 409), (title.to_uppercase(), 409)]
    {
        let body = json!({"title": title});
        let answer = site.post("/api/conversations").cookie(&alice.cookie).json(&body).await;
        assert_eq!(answer.status, status, "{title}");
        if status == 409 {
            answer.is(409, json!({"status": "title taken"}));
        }
    }
}

#[tokio::test]
async fn many_who_make_the_same_title_at_once_make_one_conversation() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let body = json!({"title": unique("race")});
    let ask =
        || async { site.post("/api/conversations").cookie(&alice.cookie).json(&body).await.status };
    let statuses = futures_util::future::join_all((0..12).map(|_| ask())).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 409).count(), 11, "{statuses:?}");
}

#[tokio::test]
async fn titles_that_break_the_rules_are_bad_requests() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    for title in
        [json!(""), json!(" \t "), json!("x".repeat(81)), json!("a\0b"), json!("a\nb"), json!(7)]
    {
        let body = json!({"title": title});
        let answer = site.post("/api/conversations").cookie(&alice.cookie).json(&body).await;
        assert_eq!(
            (answer.status, &answer.json["status"]),
            (400, &json!("bad request")),
            "{title}"
        );
        assert!(!answer.text_of("error").is_empty());
    }
}

#[tokio::test]
async fn the_list_has_the_newest_activity_first_and_counts_what_is_there() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let older = site.topic(&alice, "older").await;
    let newer = site.topic(&alice, "newer").await;
    let place = |urls: &[String], url: &String| urls.iter().position(|other| other == url);

    let first = site.says(&alice, &older, "one").await;
    site.says(&alice, &older, "two").await;
    let after = urls(&list(&site, &alice.cookie, "?limit=1000").await);
    assert!(place(&after, &older) < place(&after, &newer));

    assert_eq!(msgcount(&site, &alice.cookie, &older).await, 2);
    site.delete(&first).cookie(&alice.cookie).await;
    assert_eq!(msgcount(&site, &alice.cookie, &older).await, 1);
}

#[tokio::test]
async fn the_list_is_read_page_by_page_without_losing_any() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(site.topic(&alice, "page").await);
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = list(&site, &alice.cookie, &query).await;
        let rows = urls(&page);
        assert!(rows.len() <= 2);
        seen.extend(rows);
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=2&after={next}"),
            None => break,
        }
    }
    for url in &made {
        assert_eq!(seen.iter().filter(|other| *other == url).count(), 1, "{url} in {seen:?}");
    }
    assert_eq!(urls(&list(&site, &alice.cookie, "?limit=1").await).len(), 1);
}

#[tokio::test]
async fn limits_and_cursors_that_are_none_are_bad_requests() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    for path in [
        "/api/conversations/?limit=0",
        "/api/conversations/?limit=-1",
        "/api/conversations/?limit=ten",
        "/api/conversations/?limit=",
        "/api/conversations/?limit=1.5",
        "/api/conversations/?after=rubbish",
        "/api/conversations/?after=%FF%00",
        "/api/conversations/lobby?N=0",
        "/api/conversations/lobby?N=-3",
        "/api/conversations/lobby?N=many",
        "/api/conversations/lobby?N=%F0%9F%91%8B",
    ] {
        let answer = site.get(path).cookie(&alice.cookie).await;
        assert_eq!((answer.status, &answer.json["status"]), (400, &json!("bad request")), "{path}");
        assert!(!answer.text_of("error").is_empty(), "{path}");
    }
    for path in
        ["/api/conversations/?limit=99999999999999999999", "/api/conversations/lobby/?N=1001"]
    {
        assert_eq!(site.get(path).cookie(&alice.cookie).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_newest_n_messages_come_oldest_first() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    for number in 1..=12 {
        site.says(&alice, &topic, &number.to_string()).await;
    }
    for (query, first) in [("", 3), ("?N=2", 11), ("?N=12", 1), ("?N=1000", 1), ("?N=5000", 1)] {
        for slash in ["", "/"] {
            let answer = site.get(&format!("{topic}{slash}{query}")).cookie(&alice.cookie).await;
            let rows = answer.json["messages"].as_array().expect("an array");
            let texts: Vec<_> =
                rows.iter().map(|row| row["text"].as_str().expect("a text")).collect();
            let expected: Vec<_> = (first..=12).map(|number| number.to_string()).collect();
            assert_eq!(texts, expected, "{query}");
        }
    }
}

#[tokio::test]
async fn a_message_is_shown_like_its_row() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let topic = site.topic(&alice, "topic").await;
    let posted = site.post(&topic).cookie(&bob.cookie).json(&json!({"text": "hi"})).await;
    let url = posted.text_of("url");
    posted.is(200, json!({"status": "success", "url": url}));

    let row = site.get(&topic).cookie(&alice.cookie).await.json["messages"][0].clone();
    assert_eq!(fields(&row), ["id", "seq", "text", "timestamp", "url", "user"]);
    assert_eq!((&row["user"], &row["text"]), (&json!(bob.name), &json!("hi")));
    assert!(is_timestamp(&row["timestamp"]), "{row}");
    assert_eq!(row["url"], format!("{topic}/{}", row["id"].as_str().expect("an id")));
    assert_eq!(row["url"], *url);
    for slash in ["", "/"] {
        site.get(&format!("{url}{slash}")).cookie(&alice.cookie).await.is(200, row.clone());
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let (one, other) = (site.topic(&alice, "one").await, site.topic(&alice, "other").await);
    let id = site.says(&alice, &one, "hi").await.rsplit('/').next().expect("an id").to_owned();
    for path in [
        "/api/conversations/nowhere".to_owned(),
        "/api/conversations/00000000deadbeef".to_owned(),
        "/api/conversations/%00".to_owned(),
        "/api/conversations/%FF%FE".to_owned(),
        "/api/conversations/1%20OR%201=1".to_owned(),
        format!("/api/conversations/{}", "9".repeat(5_000)),
        "/api/conversations/lobby/rubbish".to_owned(),
        "/api/conversations/lobby/-1".to_owned(),
        "/api/conversations/lobby/99999999999999999999".to_owned(),
        "/api/conversations/nowhere/1".to_owned(),
        format!("{other}/{id}"),
        format!("{other}/{id}/"),
        format!("{one}/{id}/deeper"),
    ] {
        let answer = site.get(&path).cookie(&alice.cookie).await;
        assert_eq!(
            (answer.status, answer.json),
            (404, json!({"status": "not found"})),
            "GET {path}"
        );
    }
    let post = site.post("/api/conversations/nowhere").cookie(&alice.cookie);
    post.json(&json!({"text": "hi"})).await.is(404, json!({"status": "not found"}));
    let elsewhere = site.delete(&format!("{other}/{id}")).cookie(&alice.cookie);
    elsewhere.await.is(404, json!({"status": "not found"}));
    assert_eq!(site.texts(&alice, &one).await, ["hi"]);
}

#[tokio::test]
async fn only_its_author_deletes_a_message_and_then_it_is_gone() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let topic = site.topic(&alice, "topic").await;
    let first = site.says(&bob, &topic, "first").await;
    let second = site.says(&bob, &topic, "second").await;

    site.delete(&first).cookie(&alice.cookie).await.is(403, json!({"status": "unauthorised"}));
    assert_eq!(site.texts(&alice, &topic).await, ["first", "second"]);
    site.delete(&first).cookie(&bob.cookie).await.is(200, json!({"status": "success"}));
    assert_eq!(site.texts(&alice, &topic).await, ["second"]);
    for ask in [site.get(&first), site.delete(&first)] {
        ask.cookie(&bob.cookie).await.is(404, json!({"status": "not found"}));
    }
    site.delete(&format!("{second}/"))
        .cookie(&bob.cookie)
        .await
        .is(200, json!({"status": "success"}));
    assert!(site.texts(&alice, &topic).await.is_empty());
}
