//! REST alone: posts in a room of 001 with `Idempotency-Key`, at either message-api.

use anyhow::Result;
use async_trait::async_trait;
use serde_json::json;

use super::{Answer, Dialect, Me, conversations::id_in, me::Ask};
use crate::books::Sent;

/// Somebody without a socket.
#[derive(Clone, Copy, Debug)]
pub struct Rest;

#[async_trait]
impl Dialect for Rest {
    async fn open(&mut self, _: &mut Me) -> Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &mut Me) {}

    fn end(&self) -> Option<String> {
        None
    }

    async fn send(&mut self, me: &mut Me, parcel: &Sent) -> Answer {
        let path = format!("/api/conversations/{}", me.rooms[0]);
        let body = json!({ "text": parcel.text });
        let ask = Ask { method: "POST", path: &path, body, key: parcel.key.as_deref() };
        match me.rest(ask).await {
            Ok(answer) if answer.status == 200 => Answer::Stored(id_in(&answer["url"]), None),
            Ok(answer) => Answer::Open(answer.text),
            Err(trouble) => Answer::Open(format!("{trouble:#}")),
        }
    }

    fn close(&mut self, _: bool) {}
}
