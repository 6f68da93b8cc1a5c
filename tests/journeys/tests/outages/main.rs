//! MySQL, Redis and message-api are dead, silent or slow, alone and together: what works goes on,
//! what does not fails soon, and all of it recovers unaided, with nothing lost, doubled or leaked.

mod commits;
mod fault;
mod leaks;
mod replicas;
mod table;
mod talk;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use harness::{Arena, Chatter};
use local_stack::Options;

/// What the environment says.
#[derive(Debug, Parser)]
struct Settings {
    /// Seconds that the long outages last
    #[arg(env = "LONG_OUTAGE", long, default_value_t = 20)]
    long_outage: u64,
}

fn long_outage() -> Result<Duration> {
    Ok(Duration::from_secs(Settings::try_parse_from(["outages"])?.long_outage))
}

/// Servers of its own, and a strait on every link. Pools are small, so that a leak shows.
fn options(name: &str) -> Result<Options> {
    let api_env = vec![("DATABASE_CONNECTIONS".to_owned(), "6".to_owned())];
    let options = Arena::options_with_own_servers(name)?;
    Ok(Options { straits: true, api_env, ..options })
}

/// A new room with these in it.
async fn room_of(arena: &Arena, members: &[&Chatter]) -> Result<String> {
    let room = members[0].makes_room(&arena.unique("room")).await?;
    for member in members {
        member.joins(&room).await?;
    }
    Ok(room)
}

/// The texts of the room's messages that a socket has heard, in order.
fn heard_texts(chatter: &Chatter, room: &str) -> Vec<String> {
    let all = chatter.all("chat message").into_iter().filter(|m| m["room"] == room);
    all.map(|m| m["text"].as_str().unwrap_or_default().to_owned()).collect()
}
