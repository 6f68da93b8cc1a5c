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
};
use crate::books::{How, Sent, What};

/// Somebody who watches the first of [`Me::rooms`].
#[derive(Debug, Default)]
pub struct Conversations {
    ears: Option<Ears<PlainSocket>>,
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
        self.ears = Some(Ears::new(me.watches(&path).await?));
        self.segment = me.next_segment();
        Ok(())
    }

    fn note(&mut self, me: &mut Me) {
        let news = self.ears.as_mut().map(Ears::news).unwrap_or_default();
        news.iter().for_each(|heard| self.hear(me, heard));
    }

    fn end(&self) -> Option<String> {
        self.ears.as_ref().map_or(Some("no socket".to_owned()), Ears::end)
    }

    async fn send(&mut self, me: &mut Me, parcel: &Sent) -> Answer {
        self.answers.clear();
        let Some(ears) = &self.ears else { return Answer::Open("no socket".to_owned()) };
        let mut frame = json!({ "text": parcel.text });
        if let Some(key) = &parcel.key {
            frame["clientId"] = json!(key);
        }
        ears.socket.sends(&frame);
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
        if let Some(ears) = &mut self.ears {
            ears.give_up("no answer");
        }
        Answer::Open("no answer".to_owned())
    }

    fn close(&mut self, politely: bool) {
        if let Some(ears) = self.ears.take()
            && politely
        {
            ears.socket.leaves();
        }
    }
}
