//! Who guesses or floods is refused and told when to come again; others notice nothing.

mod addresses;
mod budgets;
mod doors;
mod events;
mod knocks;
mod outages;

use anyhow::{Context, Result};
use harness::{Arena, Http};
use journeys::rest::{Answer, Ask, Site};
use local_stack::Options;
use serde_json::json;

/// A stack behind one proxy that is believed, with these settings of its services.
async fn arena(name: &str, api: &[(&str, &str)], gateway: &[(&str, &str)]) -> Result<Arena> {
    Arena::own(with(Arena::options(name)?, api, gateway)).await
}

fn with(options: Options, api: &[(&str, &str)], gateway: &[(&str, &str)]) -> Options {
    let env = |settings: &[(&str, &str)]| {
        let all = [("TRUSTED_HOPS", "1")].iter().chain(settings).copied();
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    Options { api_env: env(api), gateway_env: env(gateway), ..options }
}

/// REST at message-api `n`, from 1.
fn site(arena: &Arena, n: usize) -> Site {
    Site::at(arena.stack.urls().api(n))
}

/// Somebody at this address.
trait Behind {
    fn behind(self, address: &str) -> Self;
}

impl Behind for Ask {
    fn behind(self, address: &str) -> Self {
        self.header("x-forwarded-for", address)
    }
}

/// Tries a name and a password, by 004.
async fn log_in(site: &Site, from: &str, name: &str, password: &str) -> Answer {
    let entry = json!({"username": name, "password": password});
    site.post("/api/login").behind(from).json(&entry).await
}

/// Registers a name from an address, by 004.
async fn register(site: &Site, from: &str, name: &str) -> Answer {
    let account = json!({"username": name, "password": journeys::rest::PASSWORD});
    site.post("/api/register").behind(from).json(&account).await
}

/// It was refused as too much, and says when to come again, in seconds.
#[track_caller]
fn too_much(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let after = answer.header("retry-after").expect("it says when");
    let after = after.parse().expect("whole seconds");
    assert!((1..=900).contains(&after), "{after}");
    after
}

/// What a service has counted of this kind of refusal.
async fn limited(admin: &str, what: &str) -> Result<u64> {
    let text = Http::at(admin)?.get("/metrics").await?.expect(200)?.text;
    let name = format!("switchboard_limited_total{{what=\"{what}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.with_context(|| format!("no {name} in {text}"))?.parse().context("a number")
}
