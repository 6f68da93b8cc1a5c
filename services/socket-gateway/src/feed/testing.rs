//! What the tests of the feed listen with.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat_core::{
    Author, Change, ChangeKind, CloseReason, ConversationId, Event, Frame, Listener, Message,
    MessageId, Render, Seq, Sink, SocketKey, User, UserId, Username, Via,
};
use time::OffsetDateTime;

/// Words every change as its seq.
struct Bare;

impl Render for Bare {
    fn protocol(&self) -> &'static str {
        "bare"
    }

    fn render(&self, event: &Event, _: u8) -> Vec<Frame> {
        match event {
            Event::Change(change) => vec![Frame::new("change", &change.seq)],
            _ => Vec::new(),
        }
    }
}

/// Remembers the seqs that it hears.
#[derive(Default)]
pub(super) struct Ear(Mutex<Vec<u64>>);

#[async_trait]
impl Sink for Ear {
    fn deliver(&self, frame: &Frame) {
        let seq = frame.body.get().parse().expect("a seq");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(seq);
    }

    async fn has_room(&self) {}

    fn close(&self, _: CloseReason) {}
}

impl Ear {
    pub(super) fn heard(&self) -> Vec<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A listener that this ear belongs to.
pub(super) fn listener(ear: &Arc<Ear>) -> Listener {
    let sink = Arc::clone(ear) as Arc<dyn Sink>;
    Listener { key: SocketKey { gateway: 1, number: 1 }, user: None, render: &Bare, sink }
}

/// Some change.
pub(super) fn change(conversation: ConversationId, seq: u64) -> Change {
    let kind = ChangeKind::Deleted { message: MessageId(seq) };
    Change { conversation, seq: Seq(seq), origin: None, kind }
}

/// A post with a text of so many bytes.
pub(crate) fn post(conversation: ConversationId, seq: u64, length: usize) -> Change {
    let author = User { id: UserId(1), name: Username::parse("alice").expect("a name") };
    let message = Message {
        id: MessageId(seq),
        conversation,
        seq: Seq(seq),
        author: Author::User(author),
        text: "x".repeat(length),
        media: Vec::new(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        edited_at: None,
        is_read: false,
        client_id: None,
        via: Via::Chatto,
    };
    Change { kind: ChangeKind::Posted(Box::new(message)), ..change(conversation, seq) }
}
