//! 004 over Socket.IO: rooms. Joins with `since`, the last seq seen, after every reconnect.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use chat_core::ConversationId;
use harness::{Heard, SocketIo};
use serde_json::{Value, json};

use super::{
    Answer, Dialect, Me,
    ears::Ears,
    me::{Told, number},
    with_key,
};
use crate::books::{How, Sent, What};

/// Somebody in every room of [`Me::rooms`].
#[derive(Debug, Default)]
pub struct Chatto {
    ears: Ears<SocketIo>,
    since: HashMap<String, u64>,
    segments: HashMap<String, usize>,
    joining: String,
}

impl Chatto {
    async fn join(&mut self, me: &mut Me, room: &str) -> Result<()> {
        room.clone_into(&mut self.joining);
        let since = self.since.get(room).copied().unwrap_or(0);
        let request = json!({ "roomId": room, "user": me.name, "since": since });
        let ack = self.ears.asks("join room", request).await?;
        self.note(me);
        ensure!(ack["success"] == true, "not joined: {ack}");
        Ok(())
    }

    fn message(&mut self, me: &Me, how: How, what: What, row: &Value) {
        let room = row["room"].as_str().unwrap_or_default();
        let told = Told::of(row, "_id", "text");
        if let (What::Posted, Some(seq)) = (what, told.seq) {
            let since = self.since.entry(room.to_owned()).or_default();
            *since = seq.max(*since);
        }
        me.heard(how, what, self.segments.get(room).copied().unwrap_or_default(), told);
    }

    fn hear(&mut self, me: &mut Me, heard: &Heard) {
        let data = &heard.data;
        match heard.event.as_str() {
            "message history" => {
                self.segments.insert(self.joining.clone(), me.next_segment());
                for row in data.as_array().into_iter().flatten() {
                    self.message(me, How::Replayed, What::Posted, row);
                }
            }
            "chat message" => self.message(me, How::Live, What::Posted, data),
            "message edited" => self.message(me, How::Live, What::Edited, data),
            "message deleted" => self.message(me, How::Live, What::Deleted, data),
            "user joined room" | "user left room" => {
                let room = data["roomId"].as_str().and_then(|room| room.parse().ok());
                let room = room.map(ConversationId::raw);
                let user = data["user"].as_str().unwrap_or_default();
                me.saw(room, user, heard.event == "user joined room");
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Dialect for Chatto {
    async fn open(&mut self, me: &mut Me) -> Result<()> {
        self.ears.open(me.knocks("/socket.io", "/chatto").await?);
        for room in me.rooms.clone() {
            self.join(me, &room).await?;
        }
        Ok(())
    }

    fn note(&mut self, me: &mut Me) {
        self.ears.news().iter().for_each(|heard| self.hear(me, heard));
    }

    fn end(&self) -> Option<String> {
        self.ears.end()
    }

    async fn send(&mut self, me: &mut Me, parcel: &Sent) -> Answer {
        let line = json!({ "roomId": me.rooms[0], "user": me.name, "text": parcel.text });
        match self.ears.asks("chat message", with_key(line, parcel)).await {
            Ok(ack) if ack["success"] == true => {
                let message = &ack["message"];
                Answer::Stored(number(&message["_id"]), message["seq"].as_u64())
            }
            Ok(ack) => Answer::Open(ack.to_string()),
            Err(trouble) => Answer::Open(format!("{trouble:#}")),
        }
    }

    fn close(&mut self, politely: bool) {
        self.ears.close(politely);
    }
}
