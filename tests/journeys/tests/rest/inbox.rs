//! The inbox: what a client needs to draw its list of conversations; and 001's history page by page.

use anyhow::{Context, Result};
use harness::{Arena, granted};
use journeys::{
    product,
    rest::{Answer, Person, Site, fields, is_timestamp, unique},
};
use reqwest::Method;
use serde_json::{Value, json};

async fn inbox(site: &Site, who: &Person) -> Value {
    let answer = site.get("/api/inbox?rooms=200").cookie(&who.cookie).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json
}

async fn room(site: &Site, who: &Person, url: &str) -> Value {
    let inbox = inbox(site, who).await;
    let id = url.rsplit('/').next().expect("an id");
    let mut rooms = inbox["rooms"].as_array().expect("an array").iter();
    rooms.find(|room| room["id"] == id).cloned().expect("it is listed")
}

/// Marks it as seen up to the message at a URL.
async fn sees(site: &Site, who: &Person, message: &str) -> Answer {
    let (conversation, id) = message.rsplit_once('/').expect("a message's URL");
    let room = conversation.rsplit('/').next().expect("an id");
    let id: u64 = id.parse().expect("a number");
    let seen = site.post(&format!("/api/inbox/{room}/seen"));
    seen.cookie(&who.cookie).json(&json!({"id": id})).await
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{answer:?}");
    assert_eq!(answer.fields(), ["code", "error"]);
    assert!(!answer.text_of("error").is_empty());
}

#[tokio::test]
async fn an_inbox_has_exactly_the_documented_fields() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let topic = site.topic(&alice, "topic").await;
    let said = site.says(&bob, &topic, &"long 👋 ".repeat(100)).await;

    let inbox = inbox(&site, &alice).await;
    assert_eq!(fields(&inbox), ["directs", "rooms", "textMax", "user"]);
    assert_eq!(
        (fields(&inbox["user"]), &inbox["user"]["username"]),
        (vec!["id", "username"], &json!(alice.name))
    );
    assert_eq!((inbox["textMax"].clone(), inbox["directs"].clone()), (json!(4_000), json!([])));
    let row = room(&site, &alice, &topic).await;
    assert_eq!(fields(&row), ["id", "last", "seen", "seq", "title", "unread"]);
    assert_eq!(row["seen"], json!(false));
    assert_eq!((row["seq"].clone(), row["unread"].clone()), (json!(1), json!(0)));
    let last = &row["last"];
    assert_eq!(fields(last), ["id", "text", "timestamp", "user"]);
    assert_eq!(last["id"].to_string(), said.rsplit('/').next().expect("an id"));
    assert_eq!((last["user"].clone(), is_timestamp(&last["timestamp"])), (json!(bob.name), true));
    assert_eq!(last["text"].as_str().expect("a text").chars().count(), 200);
    let lobby = inbox["rooms"].as_array().expect("an array").iter().any(|row| row["id"] == "lobby");
    assert!(lobby, "the lobby is always there");
    let silent = site.topic(&alice, "silent").await;
    assert_eq!(room(&site, &alice, &silent).await["last"], json!(null));
}

#[tokio::test]
async fn a_mark_is_the_users_on_every_device_and_only_moves_forward() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let topic = site.topic(&alice, "topic").await;
    let first = site.says(&bob, &topic, "one").await;
    let second = site.says(&bob, &topic, "two").await;
    let unread = async || room(&site, &alice, &topic).await["unread"].clone();
    assert_eq!(
        (room(&site, &alice, &topic).await["seen"].clone(), unread().await),
        (json!(false), json!(0))
    );

    sees(&site, &alice, &first).await.is(200, json!({"success": true}));
    assert_eq!(
        (room(&site, &alice, &topic).await["seen"].clone(), unread().await),
        (json!(true), json!(1))
    );
    // The other device: another session, by its token.
    let login = json!({"username": alice.name, "password": journeys::rest::PASSWORD});
    let token = site.post("/api/login").json(&login).await.text_of("token");
    let id = second.rsplit('/').next().expect("an id");
    let path = format!("/api/inbox/{}/seen", topic.rsplit('/').next().expect("an id"));
    // As a string, as 001 and 004 show it.
    let seen = site.post(&path).bearer(&token).json(&json!({"id": id})).await;
    seen.is(200, json!({"success": true}));
    assert_eq!(unread().await, 0);
    sees(&site, &alice, &first).await.is(200, json!({"success": true}));
    assert_eq!(unread().await, 0);
    site.says(&bob, &topic, "three").await;
    assert_eq!(unread().await, 1);
    let other = site.get("/api/inbox").bearer(&token).await;
    assert_eq!(other.json["user"]["username"], *alice.name);
    // A room that was looked at before anything was said there.
    let silent = site.topic(&alice, "silent").await;
    let path = format!("/api/inbox/{}/seen", silent.rsplit('/').next().expect("an id"));
    site.post(&path)
        .bearer(&token)
        .json(&json!({"id": null}))
        .await
        .is(200, json!({"success": true}));
    site.says(&bob, &silent, "at last").await;
    let row = room(&site, &alice, &silent).await;
    assert_eq!((row["seen"].clone(), row["unread"].clone()), (json!(true), json!(1)));
}

#[tokio::test]
async fn what_is_no_mark_and_no_inbox_is_refused_with_the_reason() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let (one, other) = (site.topic(&alice, "one").await, site.topic(&alice, "other").await);
    let said = site.says(&bob, &one, "hi").await;
    let id = said.rsplit('/').next().expect("an id");
    let elsewhere = format!("{other}/{id}");
    refused(&sees(&site, &alice, &elsewhere).await, 404, "not_found");
    refused(&sees(&site, &alice, "/api/conversations/nowhere/1").await, 404, "not_found");
    for (body, status, code) in [
        (json!({}), 400, "invalid_payload"),
        (json!([1]), 400, "invalid_payload"),
        (json!({"id": true}), 400, "invalid_payload"),
        (json!({"id": -1}), 404, "not_found"),
        (json!({"id": "one"}), 404, "not_found"),
        (json!({"id": 0}), 404, "not_found"),
        (json!({"id": 99_999_999}), 404, "not_found"),
    ] {
        let answer = site.post("/api/inbox/lobby/seen").cookie(&alice.cookie).json(&body).await;
        refused(&answer, status, code);
    }
    let rubbish = site.post("/api/inbox/lobby/seen").cookie(&alice.cookie).body("rubbish").await;
    refused(&rubbish, 400, "invalid_payload");
    for query in ["rooms=0", "rooms=many", "directs=-1"] {
        let answer = site.get(&format!("/api/inbox?{query}")).cookie(&alice.cookie).await;
        refused(&answer, 400, "invalid_payload");
        let name = query.split('=').next().expect("a name");
        assert!(answer.text_of("error").contains(name), "{answer:?}");
    }
    for ask in [site.get("/api/inbox"), site.post("/api/inbox/lobby/seen").json(&json!({"id": 1}))]
    {
        let answer = ask.await;
        refused(&answer, 401, "unauthorised");
        assert!(answer.header("www-authenticate").is_some());
    }
    refused(&site.get("/api/inbox").cookie("dead").await, 401, "unauthorised");
    refused(&site.get("/api/inbox").bearer("forged").await, 401, "invalid_token");
    refused(&site.delete("/api/inbox").await, 405, "method_not_allowed");
}

#[tokio::test]
async fn a_client_that_joins_from_the_rows_seq_misses_nothing_and_hears_nothing_again() -> Result<()>
{
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = bobs.makes_room(&arena.unique("room")).await?;
    bobs.joins(&room).await?;
    bobs.says(&room, "before").await?;
    let inbox = alice.http.get("/api/inbox?rooms=200").await?.expect(200)?;
    let rooms = inbox["rooms"].as_array().context("rooms")?;
    let row = rooms.iter().find(|row| row["id"] == *room).context("the room")?;
    assert_eq!(row["last"]["text"], "before");
    bobs.says(&room, "after").await?;
    let join = json!({"roomId": room, "user": alice.name, "since": row["seq"]});
    alices.asks("join room", join).await?;
    let history = alices.hears("message history", |_| true).await?;
    let texts: Vec<_> =
        history.as_array().context("rows")?.iter().map(|row| &row["text"]).collect();
    assert_eq!(texts, ["after"]);
    Ok(())
}

#[tokio::test]
async fn what_is_read_of_the_lobby_by_000_is_seen() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let lobby = "/api/conversations/lobby";
    let unread = async || room(&site, &alice, lobby).await["unread"].as_u64();
    site.says(&bob, lobby, "one").await;
    assert_eq!(unread().await, Some(0), "she has never had a look");
    assert_eq!(site.get("/api/v1/messages").cookie(&alice.cookie).await.status, 200);
    let second = site.says(&bob, lobby, "two").await;
    // Others talk in the lobby as well.
    assert!(unread().await >= Some(1));
    sees(&site, &alice, &second).await.is(200, json!({"success": true}));
    let told = site.get("/api/v1/messages?limit=1").cookie(&alice.cookie).await;
    let rows = site.get("/api/v1/messages").cookie(&alice.cookie).await;
    let id: u64 = second.rsplit('/').next().expect("an id").parse().expect("a number");
    let mut rows = rows.json["body"]["messages"].as_array().expect("an array").iter();
    let seen = rows.find(|row| row["id"] == id).expect("it is there");
    let last_seen = &told.json["body"]["last_seen"];
    assert_eq!(&seen["timestamp"], last_seen, "000 goes by the same mark");
}

#[tokio::test]
async fn a_direct_is_in_the_inboxes_of_its_two_until_read_there_by_003() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let eve = arena.newcomer("eve").await?;
    let sender = bob.enters(1).await?;
    granted(sender.asks("chatHistory", json!({"user": alice.name})).await?)?;
    granted(sender.asks("chatMessage", "psst").await?)?;
    let directs = async |who: &harness::Person<'_>| -> Result<Vec<Value>> {
        let inbox = who.http.get("/api/inbox").await?.expect(200)?;
        inbox["directs"].as_array().cloned().context("directs")
    };
    let rows = directs(&alice).await?;
    assert_eq!((rows.len(), fields(&rows[0])), (1, vec!["id", "last", "seq", "unread", "user"]));
    assert_eq!(
        (&rows[0]["user"], &rows[0]["unread"], &rows[0]["seq"]),
        (&json!(bob.name), &json!(1), &json!(1))
    );
    assert_eq!(rows[0]["last"]["text"], "psst");
    let theirs = directs(&bob).await?;
    assert_eq!((&theirs[0]["user"], &theirs[0]["unread"]), (&json!(alice.name), &json!(0)));
    assert!(directs(&eve).await?.is_empty());

    let seen = format!("/api/inbox/{}/seen", rows[0]["id"].as_str().context("an id")?);
    let body = json!({"id": rows[0]["last"]["id"]});
    let refused = alice.http.post_json(&seen, &body).await?.expect(400)?;
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("read-chat")));
    assert_eq!(eve.http.post_json(&seen, &body).await?.expect(404)?["code"], "not_found");
    Ok(())
}

#[tokio::test]
async fn looking_back_by_before_reaches_the_start_without_gap_or_repeat() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let topic = site.topic(&alice, "topic").await;
    let mut said = Vec::new();
    for number in 0..25 {
        said.push(site.says(&alice, &topic, &number.to_string()).await);
    }
    // A page may begin before one that has been deleted.
    site.delete(&said[18]).cookie(&alice.cookie).await;
    let id = |url: &str| url.rsplit('/').next().expect("an id").to_owned();
    let page = async |query: String| -> Vec<Value> {
        let answer = site.get(&format!("{topic}?N=7{query}")).cookie(&bob.cookie).await;
        assert_eq!((answer.status, answer.fields()), (200, vec!["messages"]), "{answer:?}");
        answer.json["messages"].as_array().expect("an array").clone()
    };
    let (mut rows, mut query) = (Vec::new(), String::new());
    loop {
        let some = page(query).await;
        let Some(oldest) = some.first() else { break };
        query = format!("&before={}", oldest["id"].as_str().expect("an id"));
        rows.splice(0..0, some);
    }
    let texts: Vec<_> = rows.iter().map(|row| row["text"].as_str().expect("a text")).collect();
    let expected: Vec<_> = (0..25).filter(|n| *n != 18).map(|n| n.to_string()).collect();
    assert_eq!(texts, expected);
    assert_eq!(
        page(format!("&before={}", id(&said[18]))).await.last().expect("rows")["text"],
        "17"
    );

    for (before, status) in [
        ("one", 400),
        ("", 400),
        ("-1", 400),
        ("99999999", 404),
        (&*id(&site.says(&alice, "/api/conversations/lobby", "x").await), 404),
    ] {
        let answer = site.get(&format!("{topic}?before={before}")).cookie(&bob.cookie).await;
        assert_eq!(answer.status, status, "{before}: {answer:?}");
        assert!(status == 404 || answer.text_of("error").contains("before"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_edited_message_says_when_in_every_protocol_that_tells_of_edits() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let title = json!({"title": unique("edits")});
    let made = alice.http.post_json("/api/conversations/", &title).await?.expect(200)?;
    let (room, url) = (made["id"].as_str().context("id")?, made["url"].as_str().context("url")?);
    let (plain, chatter) = (bob.watches(1, room).await?, bob.enters(2).await?);
    chatter.joins(room).await?;
    let posted = alice.http.post_json(url, &json!({"text": "sayd"})).await?.expect(200)?;
    let said = posted["url"].as_str().context("url")?;
    assert_eq!(
        fields(&alice.http.get(said).await?.expect(200)?.json),
        ["id", "seq", "text", "timestamp", "url", "user"]
    );
    let edit = alice.http.request(Method::PATCH, said)?.json(&json!({"text": "said"}));
    alice.http.send(edit).await?.expect(200)?;
    let row = bob.http.get(said).await?.expect(200)?.json;
    assert_eq!(fields(&row), ["edited", "id", "seq", "text", "timestamp", "url", "user"]);
    assert!(is_timestamp(&row["edited"]) && row["edited"].as_str() >= row["timestamp"].as_str());
    assert_eq!(plain.hears("edited", |_| true).await?["message"], row);
    let event = chatter.hears("message edited", |_| true).await?;
    assert_eq!(event["edited"], row["edited"]);
    let late = bob.enters(1).await?;
    assert_eq!(late.joins(room).await?, json!([event]));
    Ok(())
}
