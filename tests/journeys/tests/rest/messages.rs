//! What may be posted by REST, and that posting twice is harmless.

use futures_util::future::join_all;
use journeys::{product, rest::unique};
use serde_json::json;

#[tokio::test]
async fn texts_come_back_exactly() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    let texts = [
        "plain",
        "  leading spaces stay",
        "emoji 👩‍👩‍👧‍👦 🏳️‍🌈 👋🏽",
        "four bytes 𝒳 𐍈 🀄",
        "right to left: مرحبا שלום \u{202e}override\u{202c}",
        "combining e\u{301} and precomposed é are two things",
        "NUL \0 and bell \u{7} and escape \u{1b}[31m",
        "quotes ' \" ` and \\ backslashes \\0 \\n",
        "'; DROP TABLE messages; -- \" OR 1=1 /* */ %_",
        "<script>alert('x')</script> &amp; <b>",
        "**Markdown** [link](javascript:alert(1))",
        "${jndi:ldap://x} {{7*7}} %s %n",
        "line\nbreak\r\nand\ttab",
        "\u{feff}a mark first, \u{fffd} and \u{ffff} last",
    ];
    for text in texts {
        site.says(&alice, &topic, text).await;
    }
    assert_eq!(site.texts(&alice, &topic).await, texts);
}

#[tokio::test]
async fn white_space_at_the_end_is_cut_and_nothing_else() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    site.says(&alice, &topic, "\n hi \n\t ").await;
    assert_eq!(site.texts(&alice, &topic).await, ["\n hi"]);
}

#[tokio::test]
async fn the_longest_text_fits_and_one_more_character_does_not() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    let longest = "👋".repeat(4_000);
    site.says(&alice, &topic, &longest).await;
    assert_eq!(site.texts(&alice, &topic).await, [longest.as_str()]);

    let over = json!({"text": format!("{longest}!")});
    let answer = site.post(&topic).cookie(&alice.cookie).json(&over).await;
    assert_eq!((answer.status, &answer.json["status"]), (400, &json!("bad request")));
    assert!(answer.text_of("error").contains("4000"), "{answer:?}");
}

#[tokio::test]
async fn what_is_no_text_is_a_bad_request_and_stores_nothing() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    for body in [
        json!({"text": ""}),
        json!({"text": " \n\t\u{a0} "}),
        json!({"text": null}),
        json!({"text": 7}),
        json!({"text": ["hi"]}),
        json!({"text": {"$gt": ""}}),
        json!({"message": "hi"}),
        json!({"text": "x".repeat(50_000)}),
        json!({"text": "👋".repeat(12_000)}),
        json!({"text": "hi", "more": vec![json!({}); 1_000]}),
        json!({"text": "hi", "clientId": 7}),
    ] {
        let answer = site.post(&topic).cookie(&alice.cookie).json(&body).await;
        assert_eq!(
            (answer.status, &answer.json["status"]),
            (400, &json!("bad request")),
            "{answer:?}"
        );
        assert_eq!(answer.fields(), ["error", "status"]);
        assert!(answer.text.len() < 500, "the answer quotes the request");
    }
    assert!(site.texts(&alice, &topic).await.is_empty());
}

#[tokio::test]
async fn who_sends_megabytes_is_answered_and_not_cut_off() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let body = json!({"text": "x".repeat(8_000_000)});
    for _ in 0..5 {
        let lobby = || site.post("/api/conversations/lobby").json(&body);
        let answer = lobby().cookie(&alice.cookie).await;
        assert_eq!((answer.status, &answer.json["status"]), (413, &json!("bad request")));
        lobby().await.is(401, json!({"status": "unauthorised"}));
        assert_eq!(site.ask("PUT", "/api/conversations/lobby").json(&body).await.status, 405);
        assert_eq!(site.post("/nowhere").json(&body).await.status, 404);
    }
}

#[tokio::test]
async fn the_same_key_again_gives_the_first_answer_and_one_message() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    let (key, other) = (unique("key"), unique("other"));
    let body = |text: &str| json!({"text": text, "clientId": key});

    let first = site.post(&topic).cookie(&alice.cookie).json(&body("first")).await;
    let again = site.post(&topic).cookie(&alice.cookie).json(&body("first")).await;
    let changed = site.post(&topic).bearer(&alice.token).json(&body("changed")).await;
    let by_header = site.post(&topic).cookie(&alice.cookie).header("idempotency-key", &key);
    let by_header = by_header.json(&json!({"text": "first"})).await;
    for repeated in [again, changed, by_header] {
        repeated.is(200, first.json.clone());
    }
    let both = site.post(&topic).cookie(&alice.cookie).header("idempotency-key", &key);
    both.json(&json!({"text": "second", "clientId": other})).await;
    assert_eq!(site.texts(&alice, &topic).await, ["first", "second"]);
}

#[tokio::test]
async fn the_same_key_sent_many_times_at_once_stores_one_message() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    let body = json!({"text": "once", "clientId": unique("key")});
    let send = || async { site.post(&topic).cookie(&alice.cookie).json(&body).await };
    let answers = join_all((0..16).map(|_| send())).await;
    for answer in &answers {
        answer.is(200, answers[0].json.clone());
    }
    assert_eq!(site.texts(&alice, &topic).await, ["once"]);
}

#[tokio::test]
async fn the_key_of_another_author_is_another_key() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let topic = site.topic(&alice, "topic").await;
    let key = unique("key");
    for (author, text) in [(&alice, "by alice"), (&bob, "by bob")] {
        let body = json!({"text": text, "clientId": key});
        assert_eq!(site.post(&topic).cookie(&author.cookie).json(&body).await.status, 200);
    }
    assert_eq!(site.texts(&alice, &topic).await, ["by alice", "by bob"]);
}

#[tokio::test]
async fn keys_that_break_the_rules_are_bad_requests() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    let long = "k".repeat(65);
    for key in ["", "schlüssel", "a\nb", &long] {
        let body = json!({"text": "hi", "clientId": key});
        let answer = site.post(&topic).cookie(&alice.cookie).json(&body).await;
        assert_eq!(
            (answer.status, &answer.json["status"]),
            (400, &json!("bad request")),
            "{key:?}"
        );
    }
    for key in [&b""[..], b"schl\xc3\xbcssel", long.as_bytes()] {
        let ask = site.post(&topic).cookie(&alice.cookie).header("idempotency-key", key);
        assert_eq!(ask.json(&json!({"text": "hi"})).await.status, 400, "{key:?}");
    }
    assert!(site.texts(&alice, &topic).await.is_empty());
}

#[tokio::test]
async fn many_who_post_at_once_get_places_without_holes() {
    let site = product().await.site();
    let people = join_all((0..8).map(|_| site.newcomer("writer"))).await;
    let topic = site.topic(&people[0], "topic").await;
    join_all(people.iter().map(|writer| async {
        for number in 0..10 {
            site.says(writer, &topic, &format!("{} {number}", writer.name)).await;
        }
    }))
    .await;

    let answer = site.get(&format!("{topic}?N=1000")).cookie(&people[0].cookie).await;
    let rows = answer.json["messages"].as_array().expect("an array");
    let places: Vec<_> = rows.iter().map(|row| row["seq"].as_u64().expect("a place")).collect();
    assert_eq!(places, (1..=80).collect::<Vec<_>>());
    for writer in &people {
        let own = rows.iter().filter(|row| row["user"] == *writer.name);
        let texts: Vec<_> =
            own.map(|row| row["text"].as_str().expect("a text").to_owned()).collect();
        let expected: Vec<_> = (0..10).map(|number| format!("{} {number}", writer.name)).collect();
        assert_eq!(texts, expected);
    }
}
