//! 002 over Socket.IO: one channel. Catches up by paging back to the newest message it knows;
//! hears lists of those online.

use anyhow::{Result, bail, ensure};
use async_trait::async_trait;
use harness::{Heard, SocketIo};
use serde_json::{Value, json};

use super::{
    Answer, Dialect, Me,
    ears::Ears,
    me::{Told, number},
};
use crate::books::{How, Sent, What};

/// Rows in a page.
const PAGE: usize = 10;

/// Somebody with one channel open.
#[derive(Debug)]
pub struct OneToOne {
    peer: String,
    ears: Option<Ears<SocketIo>>,
    newest: u64,
    /// Up to here nothing is missing.
    whole: u64,
    /// Has the last catching up come to its end?
    is_whole: bool,
    segment: usize,
    page: Vec<u64>,
}

impl OneToOne {
    /// With the peer.
    #[must_use]
    pub fn with(peer: &str) -> Self {
        Self {
            peer: peer.to_owned(),
            ears: None,
            newest: 0,
            whole: 0,
            is_whole: false,
            segment: 0,
            page: Vec::new(),
        }
    }

    async fn asks(&mut self, event: &str, data: Value) -> Result<Value> {
        let Some(ears) = &mut self.ears else { bail!("no socket") };
        let answer = ears.asks(event, data).await.map_err(anyhow::Error::msg)?;
        ensure!(answer["success"] == true, "refused: {answer}");
        Ok(answer)
    }

    async fn catch_up(&mut self, me: &mut Me) -> Result<()> {
        // What came live while a catching up was cut short says nothing of what came before.
        let (known, mut offset) = (self.whole, 0);
        self.is_whole = false;
        let mut ask = json!({ "user": self.peer });
        loop {
            self.asks("chatHistory", ask).await?;
            self.note(me);
            let page = std::mem::take(&mut self.page);
            if page.len() < PAGE || page.contains(&known) {
                (self.whole, self.is_whole) = (self.newest, true);
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
        self.newest = self.newest.max(told.id);
        if self.is_whole {
            self.whole = self.newest;
        }
        me.heard(how, What::Posted, self.segment, told);
    }
}

#[async_trait]
impl Dialect for OneToOne {
    async fn open(&mut self, me: &mut Me) -> Result<()> {
        self.ears = Some(Ears::new(me.knocks("/socket.io", "/one-to-one").await?));
        self.segment = me.next_segment();
        self.catch_up(me).await
    }

    fn note(&mut self, me: &mut Me) {
        let news = self.ears.as_mut().map(Ears::news).unwrap_or_default();
        news.iter().for_each(|heard| self.hear(me, heard));
    }

    fn end(&self) -> Option<String> {
        self.ears.as_ref().map_or(Some("no socket".to_owned()), Ears::end)
    }

    async fn send(&mut self, _: &mut Me, parcel: &Sent) -> Answer {
        let mut data = json!({ "msg": parcel.text });
        if let Some(key) = &parcel.key {
            data["clientId"] = json!(key);
        }
        match self.asks("chatMessage", data).await {
            Ok(answer) => Answer::Stored(number(&answer["message"]["id"]), None),
            Err(trouble) => Answer::Open(format!("{trouble:#}")),
        }
    }

    async fn meddle(&mut self, _: &mut Me) {} // 002 has no words for it.

    fn close(&mut self, politely: bool) {
        if let Some(ears) = self.ears.take()
            && politely
        {
            ears.socket.leaves();
        }
    }
}
