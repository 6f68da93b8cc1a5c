//! 004 under traffic: where history ends, live begins.

use anyhow::Result;
use harness::{Arena, Heard, granted};
use serde_json::{Value, json};

/// Messages written while somebody joins again and again.
const MESSAGES: usize = 400;

/// Joins meanwhile.
const JOINS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn joining_again_under_traffic_neither_repeats_nor_skips_nor_reorders() -> Result<()> {
    let arena = Arena::shared().await?;
    let (writer, reader) = (arena.newcomer("writer").await?, arena.newcomer("reader").await?);
    let (writer, reader) = (writer.enters(1).await?, reader.enters(2).await?);
    let room = writer.makes_room(&arena.unique("busy")).await?;
    writer.joins(&room).await?;

    let writing = async {
        for n in 0..MESSAGES {
            writer.says(&room, &format!("m{n}")).await?;
        }
        anyhow::Ok(())
    };
    let joining = async {
        for n in 0..JOINS {
            // By turns plainly and from the beginning.
            let since = (n % 2 == 1).then_some(0);
            let join = json!({"roomId": room, "user": reader.name, "since": since});
            granted(reader.asks("join room", join).await?)?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(writing, joining)?;
    writer.says(&room, "last").await?;
    reader.reads("last").await?;

    let faults = faults(&reader.everything());
    assert!(faults.is_empty(), "{faults:?}");
    Ok(())
}

/// Where a live message is not the one after what the socket had last been told.
fn faults(heard: &[Heard]) -> Vec<String> {
    let (mut last, mut faults) = (0, Vec::new());
    for Heard { event, data } in heard {
        match event.as_str() {
            "message history" => {
                let newest = data.as_array().and_then(|rows| rows.last());
                last = newest.map_or(last, seq);
            }
            "chat message" => {
                if seq(data) != last + 1 {
                    faults.push(format!("{} after {last}", seq(data)));
                }
                last = seq(data);
            }
            _ => {}
        }
    }
    faults
}

fn seq(message: &Value) -> u64 {
    message["seq"].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_a_name_bears_it_alone() -> Result<()> {
    let arena = Arena::shared().await?;
    let bob = arena.newcomer("bob").await?.enters(1).await?;
    let room = bob.makes_room(&arena.unique("masks")).await?;
    bob.joins(&room).await?;
    let zoe = arena.unique("zoe");
    let join = json!({"roomId": room, "user": zoe});
    let mut guests = Vec::new();
    for n in 1..=2 {
        let guest = arena.gateway(n).enters().await?;
        granted(guest.asks("join room", join.clone()).await?)?;
        guests.push(guest);
    }
    // Another guest, whose name nobody takes.
    let other = arena.gateway(2).enters().await?;
    let elsewhere = json!({"roomId": room, "user": arena.unique("yan")});
    granted(other.asks("join room", elsewhere.clone()).await?)?;
    let is_zoe = |told: &Value| told["user"] == zoe.as_str();
    bob.hears("user joined room", is_zoe).await?;

    arena.visitor()?.register(&zoe).await?.expect(200)?;
    for guest in &guests {
        let error = guest.hears("error", |error| error["code"] == "username_taken").await?;
        assert_eq!(error["event"], "join room", "{error}");
        guest.sees_the_end().await?;
    }
    bob.hears("user left room", is_zoe).await?;
    granted(other.asks("typing", elsewhere).await?)?;
    Ok(())
}
