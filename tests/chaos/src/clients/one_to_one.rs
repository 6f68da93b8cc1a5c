//! 002 over Socket.IO: one channel. Catches up by paging back to the newest message it knows;
//! hears lists of those online.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use harness::{Heard, SocketIo};
use serde_json::{Value, json};

use super::{
    Answer, Dialect, Me,
    ears::Ears,
    known::Known,
    me::{Told, number},
    with_key,
};
use crate::books::{How, Sent, What};

/// Rows in a page.
const PAGE: usize = 10;

/// Somebody with one channel open.
#[derive(Debug, Default)]
pub struct OneToOne {
    peer: String,
    ears: Ears<SocketIo>,
    known: Known,
    segment: usize,
    page: Vec<u64>,
}

impl OneToOne {
    /// With the peer.
    #[must_use]
    pub fn with(peer: &str) -> Self {
        Self { peer: peer.to_owned(), ..Self::default() }
    }

    async fn asks(&mut self, event: &str, data: Value) -> Result<Value> {
        let answer = self.ears.asks(event, data).await?;
        ensure!(answer["success"] == true, "refused: {answer}");
        Ok(answer)
    }

    async fn catch_up(&mut self, me: &mut Me) -> Result<()> {
        let (known, mut offset) = (self.known.begins(), 0);
        let mut ask = json!({ "user": self.peer });
        loop {
            self.asks("chatHistory", ask).await?;
            self.note(me);
            let page = std::mem::take(&mut self.page);
            if page.len() < PAGE || page.contains(&known) {
                self.known.ends();
                return Ok(());
            }
            offset += PAGE;
            ask = json!({ "offset": offset });
        }
    }

    fn hear(&mut self, me: &Me, heard: &Heard) {
        match heard.event.as_str() {
            "chatHistory" => {
                let rows = heard.data.as_array().cloned().unwrap_or_default();
                self.page = rows.iter().map(|row| number(&row["id"])).collect();
                rows.iter().for_each(|row| self.message(me, How::Fetched, row));
            }
            "chatMessage" => self.message(me, How::Live, &heard.data),
            "updateUsers" => {
                let names = heard.data.as_array().into_iter().flatten();
                let names = names.filter_map(Value::as_str).map(str::to_owned).collect();
                me.write(|diary| diary.roster = Some(names));
            }
            _ => {}
        }
    }

    fn message(&mut self, me: &Me, how: How, row: &Value) {
        let told = Told::of(row, "id", "msg");
        self.known.hears(told.id);
        me.heard(how, What::Posted, self.segment, told);
    }
}

#[async_trait]
impl Dialect for OneToOne {
    async fn open(&mut self, me: &mut Me) -> Result<()> {
        self.ears.open(me.knocks("/socket.io", "/one-to-one").await?);
        self.segment = me.next_segment();
        self.catch_up(me).await
    }

    fn note(&mut self, me: &mut Me) {
        self.ears.news().iter().for_each(|heard| self.hear(me, heard));
    }

    fn end(&self) -> Option<String> {
        self.ears.end()
    }

    async fn send(&mut self, _: &mut Me, parcel: &Sent) -> Answer {
        let data = json!({ "msg": parcel.text });
        match self.asks("chatMessage", with_key(data, parcel)).await {
            Ok(answer) => Answer::Stored(number(&answer["message"]["id"]), None),
            Err(trouble) => Answer::Open(format!("{trouble:#}")),
        }
    }

    async fn meddle(&mut self, _: &mut Me) {} // 002 has no words for it.

    fn close(&mut self, politely: bool) {
        self.ears.close(politely);
    }
}
