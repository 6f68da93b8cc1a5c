//! Editing by REST, 000's way and 001's.

use anyhow::{Context, Result};
use harness::Arena;
use serde_json::json;

use crate::support::{edits, is_not_sent, posts, row};

#[tokio::test]
async fn an_edit_is_told_by_last_edited_and_live_to_those_who_have_words_for_it() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (plain, chatter) = (bob.watches(1, "lobby").await?, bob.enters(2).await?);
    chatter.joins("lobby").await?;
    let (said, corrected) = (arena.unique("sayd"), arena.unique("said"));
    posts(&alice.http, &alice.name, &said).await?.expect(200)?;
    let before = row(&bob.http, &said).await?;

    let answer = edits(&alice.http, &before["id"], &corrected).await?.expect(200)?;
    assert_eq!(answer.json, json!({"body": "Message Received"}));
    let after = row(&bob.http, &corrected).await?;
    assert!(after["last_edited"].as_u64() >= before["timestamp"].as_u64());
    for field in ["id", "author", "timestamp"] {
        assert_eq!(after[field], before[field]);
    }
    plain.hears("edited", |frame| frame["message"]["text"] == *corrected).await?;
    chatter.hears("message edited", |message| message["text"] == *corrected).await?;
    Ok(())
}

#[tokio::test]
async fn only_the_author_may_edit() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (said, guests) = (arena.unique("alice's"), arena.unique("a guest's"));
    posts(&alice.http, &alice.name, &said).await?.expect(200)?;
    let visitor = arena.visitor()?;
    posts(&visitor, &arena.unique("gus"), &guests).await?.expect(200)?;
    let own = row(&bob.http, &said).await?["id"].clone();
    let strange = row(&bob.http, &guests).await?["id"].clone();

    is_not_sent(&edits(&bob.http, &own, "not mine").await?, 403);
    is_not_sent(&edits(&visitor, &own, "nobody's").await?, 401);
    is_not_sent(&edits(&alice.http, &strange, "a guest's").await?, 403);
    is_not_sent(&edits(&alice.http, &json!(99_999_999), "nowhere").await?, 404);
    is_not_sent(&edits(&alice.http, &own, " ").await?, 400);
    assert_eq!(row(&bob.http, &said).await?["last_edited"], json!(null));
    Ok(())
}

#[tokio::test]
async fn messages_elsewhere_are_not_the_lobbys() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let title = json!({"title": arena.unique("elsewhere")});
    let made = alice.http.post_json("/api/conversations/", &title).await?.expect(200)?;
    let room = made["url"].as_str().context("a URL")?;
    let said = alice.http.post_json(room, &json!({"text": "hi"})).await?.expect(200)?;
    let url = said["url"].as_str().context("a URL")?;
    let id: u64 = url.rsplit('/').next().context("an id")?.parse()?;
    is_not_sent(&edits(&alice.http, &json!(id), "not here").await?, 404);

    // 001's way works there.
    let patch = |text: &str| -> Result<_> {
        Ok(alice.http.request("PATCH".parse()?, url)?.json(&json!({"text": text})))
    };
    let answer = alice.http.send(patch("hello")?).await?.expect(200)?;
    assert_eq!(answer.json, json!({"status": "success", "url": url}));
    assert_eq!(alice.http.get(url).await?.expect(200)?["text"], "hello");
    assert_eq!(alice.http.send(patch(" ")?).await?["status"], "bad request");

    let bob = arena.newcomer("bob").await?;
    let request = bob.http.request("PATCH".parse()?, url)?.json(&json!({"text": "not mine"}));
    let refused = bob.http.send(request).await?.expect(403)?;
    assert_eq!(refused.json, json!({"status": "unauthorised"}));
    let request = arena.visitor()?.request("PATCH".parse()?, url)?.json(&json!({"text": "no"}));
    arena.visitor()?.send(request).await?.expect(401)?;
    Ok(())
}
