//! Who is online, who joins, who waits for whom.

use anyhow::Result;
use harness::Arena;
use serde_json::{Value, json};

use crate::{SILENCE, enters};

fn row<'a>(users: &'a Value, name: &str) -> Option<&'a Value> {
    users["users"].as_array()?.iter().find(|user| user["username"] == *name)
}

#[tokio::test]
async fn who_waits_is_told_of_the_first_socket_and_of_the_last() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let alices = enters(arena, &alice, 1).await?;
    let user = json!({"user": bob.name});
    assert_eq!(alices.asks("wait-for-user", user.clone()).await?, json!({}));
    alices.hears_nothing("user-online", SILENCE).await?;

    let phone = enters(arena, &bob, 2).await?;
    assert_eq!(alices.hears("user-online", |_| true).await?, user);
    let laptop = enters(arena, &bob, 1).await?;
    let other_protocol = bob.enters(2).await?;
    phone.leaves();
    laptop.leaves();
    alices.hears_nothing("user-offline", SILENCE).await?;
    other_protocol.leaves();
    assert_eq!(alices.hears("user-offline", |_| true).await?, user);
    assert_eq!(alices.all("user-online").len(), 1);
    assert_eq!(alices.all("user-offline").len(), 1);

    assert_eq!(alices.asks("stop-waiting-for-user", user).await?, json!({}));
    let _back = enters(arena, &bob, 2).await?;
    alices.hears_nothing("user-online", SILENCE).await
}

#[tokio::test]
async fn who_begins_to_wait_for_somebody_online_is_told_at_once() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, carols) = (enters(arena, &alice, 1).await?, enters(arena, &alice, 2).await?);
    let _bobs = bob.enters(2).await?;
    for socket in [&alices, &carols] {
        // In whatever letter case; the name comes back as first typed.
        socket.emit("wait-for-user", json!({"user": bob.name.to_uppercase()}));
        let online = socket.hears("user-online", |_| true).await?;
        assert_eq!(online, json!({"user": bob.name}));
    }
    Ok(())
}

#[tokio::test]
async fn users_are_listed_page_by_page_with_whether_they_are_online() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let carol = arena.newcomer("carol").await?;
    let alices = enters(arena, &alice, 1).await?;
    alices.emit("wait-for-user", json!({"user": bob.name}));
    let _bobs = bob.enters(2).await?;
    alices.hears("user-online", |_| true).await?;

    let all = alices.asks("fetch-users", json!({})).await?;
    let online = json!({"username": bob.name, "isOnline": true});
    assert_eq!(row(&all, &bob.name), Some(&online));
    let offline = json!({"username": carol.name, "isOnline": false});
    assert_eq!(row(&all, &carol.name), Some(&offline));
    assert_eq!(row(&all, &alice.name), None, "not oneself");

    let (mut paged, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = alices.asks("fetch-users", json!({"limit": 2, "after": after})).await?;
        paged.extend(page["users"].as_array().cloned().unwrap_or_default());
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    for known in [&bob.name, &carol.name] {
        assert_eq!(paged.iter().filter(|user| user["username"] == **known).count(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn an_account_made_by_any_protocol_is_told() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let alices = enters(arena, &alice, 2).await?;
    let by_001 = arena.unique("by001");
    arena.visitor()?.register(&by_001).await?.expect(200)?;
    let by_004 = arena.newcomer("by004").await?;
    for name in [&by_001, &by_004.name] {
        let told = alices.hears("user-join", |join| join["user"] == **name).await?;
        assert_eq!(told, json!({"user": name}));
    }
    Ok(())
}
