//! Counts under concurrent sends and reads.

use anyhow::Result;
use futures_util::future::try_join_all;
use harness::Arena;
use serde_json::json;

use crate::{enters, sends, unread};

#[tokio::test]
async fn unread_counts_come_out_right_however_sends_and_reads_race() -> Result<()> {
    const EACH: usize = 40;
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (one, two) = (enters(arena, &alice, 1).await?, enters(arena, &alice, 2).await?);
    let (bobs, watching) = (enters(arena, &bob, 1).await?, enters(arena, &bob, 2).await?);

    let send = async |socket| {
        for n in 0..EACH {
            sends(socket, &bob.name, &n.to_string()).await?;
        }
        anyhow::Ok(())
    };
    // Every chat is read twice at the same moment, from two gateways; one in four not at all.
    let read = async {
        for n in 0..2 * EACH {
            let chat = bobs.hears("chat", |_| true).await?;
            if n % 4 != 0 {
                let id = json!({"id": chat["chat"]["id"]});
                let both = [&bobs, &watching].map(|s| s.emit_with_ack("read-chat", id.clone()));
                for ack in try_join_all(both.map(|pending| pending.answer())).await? {
                    assert_eq!(ack, json!({}));
                }
            }
        }
        anyhow::Ok(())
    };
    tokio::try_join!(send(&one), send(&two), read)?;

    let left = 2 * EACH / 4;
    assert_eq!(unread(&bobs, &alice.name).await?, left);
    for socket in [&bobs, &watching] {
        socket.hears("unread-chats-count", |count| count["unreadChatsCount"] == left).await?;
        let chats = socket.all("chat");
        let mut ids: Vec<_> = chats.iter().filter_map(|c| c["chat"]["id"].as_u64()).collect();
        assert_eq!(ids.len(), 2 * EACH);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2 * EACH, "each chat once");
    }
    assert_eq!(bobs.all("chat"), watching.all("chat"), "one order for all");
    let reads = one.hears_in_all("read-chat", 2 * EACH - left).await?;
    assert_eq!(reads.len(), 2 * EACH - left, "each read is told once");
    // What was told last is what is true.
    let last = async |socket: &harness::SocketIo| {
        sends(&one, &bob.name, "last").await?;
        let now = unread(socket, &alice.name).await?;
        socket.hears("unread-chats-count", |count| count["unreadChatsCount"] == now).await
    };
    last(&watching).await?;
    Ok(())
}
