//! 001 over a plain WebSocket: watches one room, `since` the last seq seen.

use anyhow::Result;
use async_trait::async_trait;
use harness::{Heard, PlainSocket};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use super::{
    ANSWER_WITHIN, Answer, Dialect, Me,
    ears::Ears,
    me::{Told, number},
    with_key,
};
use crate::books::{How, Sent, What};

/// Somebody who watches the first of [`Me::rooms`].
#[derive(Debug, Default)]
pub struct Conversations {
    ears: Ears<PlainSocket>,
    since: u64,
    segment: usize,
    /// Answers to one's own frames.
    answers: Vec<Value>,
}

impl Conversations {
    fn hear(&mut self, me: &Me, heard: &Heard) {
        let frame = &heard.data;
        let told = Told::of(&frame["message"], "id", "text");
        match heard.event.as_str() {
            "message" => {
                self.since = self.since.max(told.seq.unwrap_or_default());
                me.heard(How::Live, What::Posted, self.segment, told);
            }
            "edited" => me.heard(How::Live, What::Edited, self.segment, told),
            "deleted" => {
                let told = Told { id: id_in(&frame["url"]), seq: None, text: None };
                me.heard(How::Live, What::Deleted, self.segment, told);
            }
            "posted" | "error" => self.answers.push(frame.clone()),
            _ => {}
        }
    }
}

/// The message's id, from its URL.
pub(super) fn id_in(url: &Value) -> u64 {
    let last = url.as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    number(&json!(last))
}

#[async_trait]
impl Dialect for Conversations {
    async fn open(&mut self, me: &mut Me) -> Result<()> {
        let path = format!("/ws/conversations/{}?since={}", me.rooms[0], self.since);
        self.ears.open(me.watches(&path).await?);
        self.segment = me.next_segment();
        Ok(())
    }

    fn note(&mut self, me: &mut Me) {
        self.ears.news().iter().for_each(|heard| self.hear(me, heard));
    }

    fn end(&self) -> Option<String> {
        self.ears.end()
    }

    async fn send(&mut self, me: &mut Me, parcel: &Sent) -> Answer {
        self.answers.clear();
        match self.ears.socket() {
            Ok(socket) => socket.sends(&with_key(json!({ "text": parcel.text }), parcel)),
            Err(trouble) => return Answer::Open(trouble.to_string()),
        }
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            self.note(me);
            match self.answers.pop() {
                Some(answer) if answer["type"] == "posted" => {
                    return Answer::Stored(id_in(&answer["url"]), None);
                }
                Some(answer) => return Answer::Open(answer.to_string()),
                None if self.end().is_some() => return Answer::Open("it ended".to_owned()),
                None if Instant::now() > deadline => break,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
        self.ears.give_up("no answer");
        Answer::Open("no answer".to_owned())
    }

    fn close(&mut self, politely: bool) {
        self.ears.close(politely);
    }
}
