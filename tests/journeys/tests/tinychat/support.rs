//! What these tests share. The lobby is one for all of them: each looks for its own texts.

use anyhow::{Context, Result};
use harness::{Answer, Http};
use serde_json::{Value, json};

pub(crate) const MESSAGES: &str = "/api/v1/messages";

/// Posts as 000's client does.
pub(crate) async fn posts(http: &Http, author: &str, content: &str) -> Result<Answer> {
    http.post_json(MESSAGES, &json!({"Author": author, "Content": content})).await
}

/// The rows of the lobby, as GET answers them.
pub(crate) async fn rows(http: &Http) -> Result<Vec<Value>> {
    let answer = http.get(MESSAGES).await?.expect(200)?;
    answer["body"]["messages"].as_array().cloned().context("messages are an array")
}

/// The one row with this text.
pub(crate) async fn row(http: &Http, content: &str) -> Result<Value> {
    let rows = rows(http).await?;
    let mut fitting = rows.into_iter().filter(|row| row["content"] == content);
    let row = fitting.next().with_context(|| format!("nobody said {content}"))?;
    anyhow::ensure!(fitting.next().is_none(), "{content} is there twice");
    Ok(row)
}

/// `PATCH /api/v1/messages/{id}`.
pub(crate) async fn edits(http: &Http, id: &Value, content: &str) -> Result<Answer> {
    let request = http.request("PATCH".parse()?, &format!("{MESSAGES}/{id}"))?;
    http.send(request.json(&json!({"content": content}))).await
}

/// Refused in the words of a failed POST.
#[track_caller]
pub(crate) fn is_not_sent(answer: &Answer, status: u16) {
    let expected = (status, &json!({"body": "Error sending message"}));
    assert_eq!((answer.status, &answer.json), expected);
}
