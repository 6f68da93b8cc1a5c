//! Does REST show what is stored? Asked of every message-api, once all is quiet.

use anyhow::{Context, Result};
use harness::Http;
use serde_json::json;

use super::{Finding, Kind, Stored};
use crate::clients::{PASSWORD, number};

/// Most messages in one answer.
const NEWEST: usize = 1_000;

/// Compares the rooms as that user sees them at this message-api.
pub async fn audit(
    api: &str,
    user: &str,
    rooms: &[(String, u64)],
    stored: &Stored,
) -> Result<Vec<Finding>> {
    let visitor = Http::at(api)?;
    let body = json!({ "username": user, "password": PASSWORD });
    let answer = visitor.post_json("/api/login", &body).await?.expect(200)?;
    let http = visitor.bearing(answer["token"].as_str().context("a token")?);
    let mut findings = Vec::new();
    for (room, raw) in rooms {
        let path = format!("/api/conversations/{room}?N={NEWEST}");
        let page = http.get(&path).await?.expect(200)?;
        let shown = page["messages"].as_array().into_iter().flatten();
        let shown: Vec<_> = shown.map(|row| (number(&row["id"]), row["text"].as_str())).collect();
        let mut posts: Vec<_> = stored.posts.values().filter(|p| p.conversation == *raw).collect();
        posts.retain(|post| !post.is_deleted);
        posts.sort_by_key(|post| post.seq);
        let newest = &posts[posts.len().saturating_sub(NEWEST)..];
        let newest: Vec<_> = newest.iter().map(|post| (post.id, Some(&*post.text))).collect();
        if shown != newest {
            let (shown, stored) = (shown.len(), newest.len());
            let what = format!("{api}{path} shows {shown} messages other than the {stored} stored");
            findings.push(Finding { kind: Kind::Lost, what });
        }
    }
    Ok(findings)
}
