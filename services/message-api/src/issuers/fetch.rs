//! Asking an issuer for its keys, with bounds on time and memory.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use reqwest::{Client, StatusCode, redirect::Policy};
use url::Url;

/// How long it may take, from the first byte to the last.
const LIMIT: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const LARGEST: usize = 128 * 1024;

/// Fetches keys. Clones share the connections.
#[derive(Clone)]
pub(super) struct Fetcher(Client);

impl Fetcher {
    /// Trusts the certificates of the system. No redirect is followed: keys come from where the
    /// setting says.
    pub(super) fn new() -> Result<Self> {
        let client = Client::builder().redirect(Policy::none()).timeout(LIMIT).build()?;
        Ok(Self(client))
    }

    /// The body at a URL.
    pub(super) async fn get(&self, url: &Url) -> Result<Vec<u8>> {
        let asked = self.0.get(url.clone()).header("accept", "application/json");
        let mut answer = asked.send().await.map_err(reqwest::Error::without_url)?;
        if answer.status() != StatusCode::OK {
            bail!("it was answered by {}", answer.status());
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            ensure!(
                body.len() + piece.len() <= LARGEST,
                "the answer has more than {LARGEST} bytes"
            );
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}
