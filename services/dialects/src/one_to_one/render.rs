//! Hop 10 of 10: a channel's news in 002's words, rendered once for all sockets that get it.
//! From the gateway's `feed`; next the client.

use chat_core::{ChangeKind, Event, Fleeting, Frame, Render};

use super::wire::ChatMessage;

/// 002's words. It has none for edits and deletions: its clients see them in the next history.
#[derive(Clone, Copy, Debug)]
pub struct OneToOne;

impl Render for OneToOne {
    fn protocol(&self) -> &'static str {
        "one-to-one"
    }

    fn render(&self, event: &Event, _: u8) -> Vec<Frame> {
        let frame = match event {
            Event::Change(change) => match &change.kind {
                ChangeKind::Posted(message) => {
                    Some(Frame::new("chatMessage", &ChatMessage::from(&**message)))
                }
                _ => None,
            },
            Event::Fleeting(Fleeting::Typing { name, .. }) => Some(Frame::fleeting("typing", name)),
            Event::Fleeting(Fleeting::StoppedTyping { name, .. }) => {
                Some(Frame::fleeting("doneTyping", name))
            }
            _ => None,
        };
        frame.into_iter().collect()
    }
}
