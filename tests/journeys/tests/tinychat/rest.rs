//! Reading and posting by REST.

use anyhow::Result;
use harness::Arena;
use reqwest::Method;
use serde_json::json;

use crate::support::{MESSAGES, is_not_sent, posts, row, rows};

#[tokio::test]
async fn a_guest_posts_and_reads_in_the_documented_shape() -> Result<()> {
    let arena = Arena::shared().await?;
    let (http, guest, said) = (arena.visitor()?, arena.unique("gus"), arena.unique("hello 👋"));
    let answer = posts(&http, &guest, &said).await?.expect(200)?;
    assert_eq!(answer.json, json!({"body": "Message Received"}));

    let row = row(&http, &said).await?;
    let fields: Vec<_> = row.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(fields, ["author", "content", "id", "last_edited", "timestamp"]);
    assert_eq!((&row["author"], &row["last_edited"]), (&json!(guest), &json!(null)));
    assert!(row["id"].is_u64() && row["timestamp"].as_u64().expect("ms") > 1_600_000_000_000);
    Ok(())
}

#[tokio::test]
async fn keys_count_in_any_letter_case_with_a_wrapper_and_any_content_type() -> Result<()> {
    let arena = Arena::shared().await?;
    let (http, guest) = (arena.visitor()?, arena.unique("gus"));
    for (kind, body) in [
        ("text/plain", json!({"author": guest, "content": arena.unique("lower")})),
        ("application/json", json!({"AUTHOR": guest, "CONTENT": arena.unique("upper")})),
        (
            "application/x-www-form-urlencoded",
            json!({"messageObject":
            {"Author": guest, "content": arena.unique("wrapped"), "timestamp": 1}}),
        ),
    ] {
        http.post_raw(MESSAGES, kind, &body.to_string()).await?.expect(200)?;
        let said = body.pointer("/messageObject/content").unwrap_or(&body["content"]);
        let said = if said.is_null() { &body["CONTENT"] } else { said };
        assert_eq!(row(&http, said.as_str().expect("a text")).await?["author"], *guest);
    }
    Ok(())
}

#[tokio::test]
async fn bad_input_is_400_in_the_documents_words() -> Result<()> {
    let arena = Arena::shared().await?;
    let (http, guest) = (arena.visitor()?, arena.unique("gus"));
    for body in [
        json!({}),
        json!([]),
        json!({"author": guest}),
        json!({"content": "no author"}),
        json!({"author": "a b", "content": "hi"}),
        json!({"author": guest, "content": " "}),
        json!({"author": guest, "content": 7}),
        json!({"author": guest, "content": "x".repeat(4_001)}),
        json!({"author": guest, "Author": "somebody", "content": "two authors"}),
        json!({"messageObject": [], "author": guest, "content": "hi"}),
    ] {
        is_not_sent(&http.post_json(MESSAGES, &body).await?, 400);
    }
    for body in ["", "{", "author=gus&content=hi"] {
        is_not_sent(&http.post_raw(MESSAGES, "text/plain", body).await?, 400);
    }
    Ok(())
}

#[tokio::test]
async fn the_session_decides_the_author_and_another_is_refused() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (own, unnamed) = (arena.unique("own"), arena.unique("unnamed"));
    posts(&alice.http, &alice.name.to_uppercase(), &own).await?.expect(200)?;
    alice.http.post_json(MESSAGES, &json!({"content": unnamed})).await?.expect(200)?;
    for said in [own, unnamed] {
        assert_eq!(row(&bob.http, &said).await?["author"], *alice.name);
    }
    is_not_sent(&posts(&alice.http, &bob.name, "as bob").await?, 400);
    is_not_sent(&posts(&alice.http, &arena.unique("gus"), "as a guest").await?, 400);
    // Nor may a guest bear a registered name.
    is_not_sent(&posts(&arena.visitor()?, &alice.name.to_uppercase(), "as alice").await?, 400);
    Ok(())
}

#[tokio::test]
async fn the_oldest_comes_first_and_pages_go_back_from_there() -> Result<()> {
    let arena = Arena::shared().await?;
    let (http, guest) = (arena.visitor()?, arena.unique("gus"));
    for n in 0..5 {
        posts(&http, &guest, &format!("{guest} {n}")).await?.expect(200)?;
    }
    let all = rows(&http).await?;
    let own: Vec<_> = all.iter().filter(|row| row["author"] == *guest).collect();
    let texts: Vec<_> = own.iter().map(|row| row["content"].as_str().expect("a text")).collect();
    let expected: Vec<_> = (0..5).map(|n| format!("{guest} {n}")).collect();
    assert_eq!(texts, expected);
    assert!(all.is_sorted_by_key(|row| row["id"].as_u64()));

    let newest = http.get(&format!("{MESSAGES}?limit=1")).await?.expect(200)?;
    assert_eq!(newest["body"]["messages"].as_array().expect("an array").len(), 1);
    let last = own[4]["id"].as_u64().expect("an id");
    let before = http.get(&format!("{MESSAGES}?limit=1000&before={last}")).await?.expect(200)?;
    let before = before["body"]["messages"].as_array().expect("an array");
    assert!(before.iter().all(|row| row["id"].as_u64() < Some(last)));
    assert!(before.contains(own[3]));
    for query in ["limit=0", "limit=x", "limit=-1", "before=x", "before=-1"] {
        let answer = http.get(&format!("{MESSAGES}?{query}")).await?.expect(400)?;
        assert_eq!(answer.json, json!({"body": "Error retrieving messages"}));
    }
    Ok(())
}

#[tokio::test]
async fn last_seen_is_how_far_the_sessions_user_had_read() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, visitor) = (arena.newcomer("alice").await?, arena.visitor()?);
    let said = arena.unique("seen");
    posts(&visitor, &arena.unique("gus"), &said).await?.expect(200)?;

    // Who has never read, and who has no session, is told the newest message's time.
    for http in [&visitor, &alice.http] {
        let answer = http.get(MESSAGES).await?.expect(200)?;
        let newest = answer["body"]["messages"].as_array().and_then(|rows| rows.last());
        assert_eq!(answer["body"]["last_seen"], newest.expect("a message")["timestamp"]);
    }
    let first = alice.http.get(MESSAGES).await?["body"]["last_seen"].as_u64();
    posts(&visitor, &arena.unique("gus"), &arena.unique("unseen")).await?.expect(200)?;
    let second = alice.http.get(MESSAGES).await?;
    let third = alice.http.get(MESSAGES).await?["body"]["last_seen"].as_u64();
    assert!(first <= second["body"]["last_seen"].as_u64());
    let newest = second["body"]["messages"].as_array().and_then(|rows| rows.last());
    assert_eq!(third, newest.expect("a message")["timestamp"].as_u64());
    Ok(())
}

#[tokio::test]
async fn a_page_of_another_site_does_not_move_how_far_somebody_has_read() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, visitor) = (arena.newcomer("alice").await?, arena.visitor()?);
    let http = &alice.http;
    let told = async |(name, value): (&str, &str)| {
        let asked = http.request(Method::GET, MESSAGES)?.header(name, value);
        anyhow::Ok(http.send(asked).await?.expect(200)?["body"]["last_seen"].clone())
    };
    http.get(MESSAGES).await?.expect(200)?;
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let mark = told(foreign[0]).await?;
    let mut newest = mark.clone();
    // Marks go by the millisecond.
    while newest == mark {
        let said = arena.unique("unseen");
        posts(&visitor, &arena.unique("gus"), &said).await?.expect(200)?;
        newest = row(&visitor, &said).await?["timestamp"].clone();
    }
    for page in [foreign, foreign].concat() {
        assert_eq!(told(page).await?, mark, "{page:?}");
    }
    http.get(MESSAGES).await?.expect(200)?;
    assert_ne!(http.get(MESSAGES).await?["body"]["last_seen"], mark, "now she has read on");
    Ok(())
}

#[tokio::test]
async fn a_retry_with_the_same_key_stores_nothing() -> Result<()> {
    let arena = Arena::shared().await?;
    let (http, guest, said) = (arena.visitor()?, arena.unique("gus"), arena.unique("once"));
    for _ in 0..3 {
        let request = http.request("POST".parse()?, MESSAGES)?.header("idempotency-key", &said);
        let body = json!({"author": guest, "content": said});
        http.send(request.json(&body)).await?.expect(200)?;
    }
    row(&http, &said).await?;
    Ok(())
}

#[tokio::test]
async fn other_methods_are_told_what_the_path_takes() -> Result<()> {
    let arena = Arena::shared().await?;
    let answer = arena.visitor()?.delete(MESSAGES).await?.expect(405)?;
    assert_eq!(answer.json, json!({"body": "method not allowed"}));
    assert!(answer.header("allow").contains("POST"));
    Ok(())
}
