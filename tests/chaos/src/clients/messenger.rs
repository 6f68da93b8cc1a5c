//! 003 over Socket.IO: directs with one peer. Catches up by fetching what came after the newest
//! chat it knows; waits for some users.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use harness::{Heard, SocketIo};
use rand::RngExt;
use serde_json::{Value, json};

use super::{
    Answer, Dialect, Me,
    ears::Ears,
    known::Known,
    me::{Told, edited, number},
    with_key,
};
use crate::books::{How, Sent, What};

/// Most chats in one page.
const PAGE: usize = 100;

/// Somebody who writes to one peer.
#[derive(Debug, Default)]
pub struct Messenger {
    peer: String,
    waits_for: Vec<String>,
    ears: Ears<SocketIo>,
    known: Known,
    unread: BTreeSet<u64>,
    segment: usize,
    is_dead: bool,
}

impl Messenger {
    /// Writes to the peer, and waits for those users.
    #[must_use]
    pub fn with(peer: &str, waits_for: &[String]) -> Self {
        Self { peer: peer.to_owned(), waits_for: waits_for.to_vec(), ..Self::default() }
    }

    async fn asks(&mut self, event: &str, data: Value) -> Result<Value> {
        let answer = self.ears.asks(event, data).await?;
        ensure!(answer["success"] != false, "refused: {answer}");
        Ok(answer)
    }

    async fn catch_up(&mut self, me: &mut Me) -> Result<()> {
        // Live chats may come meanwhile: the pages go on from the newest one fetched.
        let mut after = self.known.begins();
        loop {
            let mut page = json!({ "user": self.peer, "limit": PAGE });
            if after > 0 {
                page["after"] = json!(after);
            }
            let answer = self.asks("fetch-conversation-with-user", page).await?;
            let chats = answer["chats"].as_array().cloned().unwrap_or_default();
            for chat in chats.iter().rev() {
                self.chat(me, How::Fetched, What::Posted, chat);
                after = after.max(number(&chat["id"]));
            }
            if chats.len() < PAGE {
                self.known.ends();
                return Ok(());
            }
        }
    }

    fn chat(&mut self, me: &Me, how: How, what: What, chat: &Value) {
        let told = Told::of(chat, "id", "message");
        if what == What::Posted {
            self.known.hears(told.id);
            if chat["recipient"] == me.name.as_str() {
                self.unread.insert(told.id);
            }
        }
        me.heard(how, what, self.segment, told);
    }

    fn hear(&mut self, me: &Me, heard: &Heard) {
        let data = &heard.data;
        let by_id = Told { id: number(&data["id"]), seq: None, text: None };
        match heard.event.as_str() {
            "chat" => self.chat(me, How::Live, What::Posted, &data["chat"]),
            "edit-chat" => self.chat(me, How::Live, What::Edited, &data["chat"]),
            "delete-chat" => me.heard(How::Live, What::Deleted, self.segment, by_id),
            "read-chat" => me.heard(How::Live, What::Read, self.segment, by_id),
            "user-online" | "user-offline" => {
                let user = data["user"].as_str().unwrap_or_default();
                me.saw(None, user, heard.event == "user-online");
            }
            "auth-failed" => self.is_dead = true,
            _ => {}
        }
    }
}

#[async_trait]
impl Dialect for Messenger {
    async fn open(&mut self, me: &mut Me) -> Result<()> {
        if std::mem::take(&mut self.is_dead) {
            me.logs_in().await?;
        }
        self.ears.open(me.knocks("/ws", "/chat").await?);
        self.segment = me.next_segment();
        self.catch_up(me).await?;
        for user in self.waits_for.clone() {
            self.asks("wait-for-user", json!({ "user": user })).await?;
        }
        Ok(())
    }

    fn note(&mut self, me: &mut Me) {
        self.ears.news().iter().for_each(|heard| self.hear(me, heard));
    }

    fn end(&self) -> Option<String> {
        self.ears.end()
    }

    async fn send(&mut self, _: &mut Me, parcel: &Sent) -> Answer {
        let data = json!({ "user": self.peer, "message": parcel.text });
        match self.asks("send-message", with_key(data, parcel)).await {
            Ok(answer) => {
                let id = number(&answer["chat"]["id"]);
                Answer::Stored(id, None)
            }
            Err(trouble) => Answer::Open(format!("{trouble:#}")),
        }
    }

    async fn meddle(&mut self, me: &mut Me) {
        let own = me.own_message();
        let asked = match (me.rng.random_range(0..4), self.unread.pop_first(), own) {
            (0, _, Some((id, _))) => self.asks("delete-chat", json!({ "id": id })).await,
            (1, _, Some((id, text))) => {
                self.asks("edit-chat", json!({ "id": id, "message": edited(&text) })).await
            }
            (_, Some(id), _) => self.asks("read-chat", json!({ "id": id })).await,
            _ => return,
        };
        drop(asked); // Once, or not at all.
    }

    fn close(&mut self, politely: bool) {
        self.ears.close(politely);
    }
}
