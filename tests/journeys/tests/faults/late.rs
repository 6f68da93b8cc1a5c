//! Joining while the bus is cut: no gap and no repetition between what was and what comes.

use std::time::Duration;

use anyhow::Result;
use harness::{Arena, Chatter, Mailbox, PlainSocket, granted};
use local_stack::{Link, Options, Weather};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{readiness_turns, two_in_a_room};

/// Messages written meanwhile.
const MESSAGES: u64 = 300;

/// Sockets of each kind that join meanwhile.
const JOINS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_under_traffic_while_the_bus_is_cut_hears_everything_once() -> Result<()> {
    let options = Options { straits: true, ..Arena::options("late")? };
    let arena = Arena::own(options).await?;
    let (writer, _bob, room) = two_in_a_room(&arena).await?;
    let reader = arena.newcomer("reader").await?;
    arena.stack.straits().set(Link::GatewayToRedis(2), Weather::Cut);
    readiness_turns(&arena, 2, false).await?;

    let writing = async {
        for n in 1..=MESSAGES {
            writer.says(&room, &format!("m{n}")).await?;
            if n == MESSAGES * 2 / 3 {
                arena.stack.straits().set(Link::GatewayToRedis(2), Weather::Fair);
            }
        }
        anyhow::Ok(())
    };
    let joining = async {
        let (mut chatters, mut plain) = (Vec::<Chatter>::new(), Vec::<PlainSocket>::new());
        for _ in 0..JOINS {
            let chatter = reader.enters(2).await?;
            let join = json!({"roomId": room, "user": reader.name, "since": 0});
            granted(chatter.asks("join room", join).await?)?;
            chatters.push(chatter);
            let gateway = arena.stack.urls().gateway(2);
            let url = format!("{gateway}/ws/conversations/{room}?since=0&token={}", reader.token);
            plain.push(PlainSocket::open("plain", &url, &[]).await?);
            sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok((chatters, plain))
    };
    let ((), (chatters, plain)) = tokio::try_join!(writing, joining)?;

    let expected: Vec<u64> = (1..=MESSAGES).collect();
    for chatter in &chatters {
        chatter.reads_until_the_end().await?;
        assert_eq!(seqs(chatter), expected, "a socket of 004");
    }
    for socket in &plain {
        socket.hears("message", |frame| frame["message"]["seq"] == MESSAGES).await?;
        assert_eq!(seqs(socket), expected, "a socket of 001");
    }
    Ok(())
}

trait ReadsUntilTheEnd {
    async fn reads_until_the_end(&self) -> Result<()>;
}

impl ReadsUntilTheEnd for Chatter {
    /// The last one comes live, or as history to whom joined after it.
    async fn reads_until_the_end(&self) -> Result<()> {
        if seqs(self).last() != Some(&MESSAGES) {
            self.hears("chat message", |message| message["seq"] == MESSAGES).await?;
        }
        Ok(())
    }
}

/// The seqs of all messages that a socket was told of, in the order in which it was.
fn seqs(mailbox: &Mailbox) -> Vec<u64> {
    let seq = |message: &Value| message["seq"].as_u64().unwrap_or_default();
    let mut seqs = Vec::new();
    for heard in mailbox.everything() {
        match heard.event.as_str() {
            "message history" => seqs.extend(heard.data.as_array().into_iter().flatten().map(seq)),
            "chat message" => seqs.push(seq(&heard.data)),
            "message" => seqs.push(seq(&heard.data["message"])),
            _ => {}
        }
    }
    seqs
}
