//! The product from outside: pages of other sites, what browsers are told, what is written down of
//! whom, and a database that pretends.

mod database;
mod headers;
mod pages;
mod secrets;
mod sockets;

use anyhow::Result;
use harness::Arena;
use tokio::sync::OnceCell;

/// Listed in ALLOWED_ORIGINS.
const LISTED: &str = "https://app.example";

/// The product that the tests of this binary share. It lists an origin.
async fn arena() -> Result<&'static Arena> {
    static SHARED: OnceCell<Arena> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| async {
            let mut options = Arena::options("edge")?;
            let env = [("ALLOWED_ORIGINS", LISTED), ("HSTS_SECONDS", "86400")];
            let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
            options.api_env.extend(env.clone());
            options.gateway_env.extend(env);
            Arena::own(options).await
        })
        .await
}
