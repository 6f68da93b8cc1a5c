//! Hop 10 of 10: an event as a frame of 001's WebSocket, rendered once for all sockets that get it.
//! From the gateway's `feed`; next the client.

use chat_core::{ChangeKind, Event, Frame, Render};

use super::wire::{MessageRow, ServerFrame, message_url};

/// 001's words.
#[derive(Clone, Copy, Debug)]
pub struct Conversations;

impl Render for Conversations {
    fn protocol(&self) -> &'static str {
        "conversations"
    }

    fn render(&self, event: &Event, _: u8) -> Vec<Frame> {
        let Event::Change(change) = event else { return Vec::new() };
        let frame = match &change.kind {
            ChangeKind::Posted(message) => {
                ServerFrame::Message { message: MessageRow::from(&**message) }
            }
            ChangeKind::Edited(message) => {
                ServerFrame::Edited { message: MessageRow::from(&**message) }
            }
            ChangeKind::Deleted { message } => {
                ServerFrame::Deleted { url: message_url(change.conversation, *message) }
            }
            ChangeKind::Read { .. } | ChangeKind::Void => return Vec::new(),
        };
        vec![Frame::new("", &frame)]
    }
}
