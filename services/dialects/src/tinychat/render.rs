//! Hop 10 of 10: the lobby's news in 000's words, rendered once for all sockets that get it.
//! From the gateway's `feed`; next the client.

use chat_core::{Change, ChangeKind, Event, Fleeting, Frame, Listener, Render, Via};
use serde_json::value::RawValue;

use super::wire::Broadcast;

/// 000's words.
#[derive(Clone, Copy, Debug)]
pub struct Tinychat;

impl Render for Tinychat {
    fn protocol(&self) -> &'static str {
        "tinychat"
    }

    fn wording(&self, event: &Event, to: &Listener) -> Option<u8> {
        let is_senders = match event {
            // A socket that posted in the words of another protocol knows already.
            Event::Change(change) => change.origin == Some(to.key),
            other => other.silent_for() == Some(to.key),
        };
        (!is_senders).then_some(0)
    }

    fn render(&self, event: &Event, _: u8) -> Vec<Frame> {
        let frame = match event {
            Event::Change(Change { kind: ChangeKind::Posted(message), .. })
                // 000's clients relay to each other what they post.
                if message.via != Via::Tinychat =>
            {
                Some(Frame::new("broadcast:message", &Broadcast::from(&**message)))
            }
            Event::Fleeting(Fleeting::Relayed { body, .. }) => relayed(body),
            _ => None,
        };
        frame.into_iter().collect()
    }
}

/// Nobody but our gateways relays, and they relay JSON; anything else is not told.
fn relayed(body: &str) -> Option<Frame> {
    let body = RawValue::from_string(body.to_owned()).ok()?;
    Some(Frame::new("broadcast:message", &body))
}
