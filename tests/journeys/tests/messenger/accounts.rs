//! Registering, logging in, deleting an account.

use anyhow::Result;
use harness::{Arena, Person};
use serde_json::json;

use crate::{enters, enters_plainly, sends};

#[tokio::test]
async fn accounts_are_made_and_logged_in_to_in_the_documented_words() -> Result<()> {
    let arena = Arena::shared().await?;
    let (http, name) = (arena.visitor()?, arena.unique("alice"));
    let account = json!({"username": name, "password": "open sesame"});
    let made = http.post_json("/api/auth/register", &account).await?.expect(201)?;
    assert_eq!(made.json, json!({"message": "Created"}));
    assert_eq!(made.header("set-cookie"), "");
    let taken = json!({"username": name.to_uppercase(), "password": "open sesame"});
    let taken = http.post_json("/api/auth/register", &taken).await?.expect(409)?;
    assert_eq!(taken.json, json!({"error": 409}));
    let wrong = json!({"username": "a b", "password": ""});
    let wrong = http.post_json("/api/auth/register", &wrong).await?.expect(400)?;
    assert_eq!(wrong["errors"].as_array().map(Vec::len), Some(2));
    for body in ["", "rubbish", "[]", "{}"] {
        for path in ["/api/auth/register", "/api/auth/login"] {
            let answer = http.post_raw(path, "text/plain", body).await?.expect(400)?;
            assert!(answer["errors"][0]["msg"].is_string(), "{path} {body}");
        }
    }

    let login = http.post_json("/api/auth/login", &account).await?.expect(200)?;
    let token = login["token"].as_str().unwrap_or_default();
    let knock = arena.gateway(1).path("/ws").namespace("/chat").token(token);
    let users = knock.enters().await?.asks("fetch-users", json!({"limit": 1})).await?;
    assert!(users["users"].is_array());
    for (name, password) in [(&*name, "wrong"), ("nobody-at-all", "open sesame")] {
        let entry = json!({"username": name, "password": password});
        let answer = http.post_json("/api/auth/login", &entry).await?.expect(401)?;
        assert_eq!(answer.json, json!({"error": "Unauthorized"}));
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_account_leaves_everywhere_and_its_chats_stay() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(arena, &alice, 1).await?, enters(arena, &bob, 2).await?);
    let plain = enters_plainly(arena, &alice, 2).await?;
    let chat = sends(&alices, &bob.name, "farewell").await?;
    bobs.hears("chat", |_| true).await?;

    let gone = alice.http.delete("/api/auth/account").await?.expect(200)?;
    assert_eq!(gone.json, json!({"message": "Deleted"}));
    let left = json!({"user": alice.name});
    bobs.hears("user-leave", |told| *told == left).await?;
    alices.sees_the_end().await?;
    plain.sees_the_end().await?;

    alice.http.get("/api/verify").await?.expect(401)?;
    alice.http.delete("/api/auth/account").await?.expect(401)?;
    let entry = json!({"username": alice.name, "password": Person::PASSWORD});
    let http = arena.visitor()?;
    http.post_json("/api/auth/login", &entry).await?.expect(401)?;
    http.post_json("/api/auth/register", &entry).await?.expect(409)?;
    let send = json!({"user": alice.name, "message": "are you there?"});
    assert_eq!(bobs.asks("send-message", send).await?["code"], "unknown_user");
    let page = json!({"user": alice.name});
    let page = bobs.asks("fetch-conversation-with-user", page).await?;
    assert_eq!(page["chats"], json!([chat]));
    let users = bobs.asks("fetch-users", json!({})).await?;
    let users = users["users"].as_array().cloned().unwrap_or_default();
    assert!(users.iter().all(|user| user["username"] != *alice.name));
    let told = bobs.all("user-leave");
    assert_eq!(told.iter().filter(|told| **told == left).count(), 1);
    Ok(())
}

#[tokio::test]
async fn name_and_password_delete_an_account_too() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let bobs = enters(arena, &bob, 2).await?;
    let http = arena.visitor()?;
    let delete = async |body: serde_json::Value| {
        let request = http.request(reqwest::Method::DELETE, "/api/auth/account")?;
        http.send(request.json(&body)).await
    };
    delete(json!({"username": alice.name, "password": "wrong"})).await?.expect(401)?;
    delete(json!({"username": alice.name})).await?.expect(400)?;
    delete(json!({})).await?.expect(401)?;
    delete(json!({"username": alice.name, "password": Person::PASSWORD})).await?.expect(200)?;
    bobs.hears("user-leave", |left| left["user"] == *alice.name).await?;
    alice.http.get("/api/verify").await?.expect(401)?;
    Ok(())
}
