//! Many clients: some that stop reading, all that are sent away, all that come back at once.

mod drain;
mod joins;
mod official;
mod slow_readers;
mod storm;

use anyhow::Result;
use clap::Parser;
use harness::{Arena, Person};

/// How large the crowds are.
#[derive(Debug, Parser)]
struct Size {
    /// Who reads beside those who stop
    #[arg(env = "LOAD_READERS", long, default_value_t = 300)]
    readers: usize,
    /// Who comes back at once
    #[arg(env = "LOAD_STORM", long, default_value_t = 1_000)]
    storm: usize,
}

impl Size {
    fn given() -> Result<Self> {
        Ok(Self::try_parse_from(["load"])?)
    }
}

/// Some people: passwords take long to check, so each opens many sockets.
async fn people<'a>(arena: &'a Arena, count: usize) -> Result<Vec<Person<'a>>> {
    let mut people = Vec::new();
    for _ in 0..count {
        people.push(arena.newcomer("person").await?);
    }
    Ok(people)
}

/// The number after `"seq":` in a message's text, and in each message of a history's.
fn seqs(frame: &str) -> impl Iterator<Item = u64> {
    frame.split(r#""seq":"#).skip(1).filter_map(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    })
}

/// What both gateways together say of a metric, its labelled values added up.
async fn metric(arena: &Arena, name: &str) -> Result<f64> {
    let mut sum = 0.0;
    for gateway in 1..=arena.stack.urls().gateways() {
        let url = format!("{}/metrics", arena.stack.urls().gateway_admin(gateway));
        let text = reqwest::get(&url).await?.text().await?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        sum += lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
    }
    Ok(sum)
}
