//! Hop 10 of 10: an event in 004's words, rendered once for all sockets that get it.
//! From the gateway's `feed`; next the client.

use chat_core::{Change, ChangeKind, Event, Fleeting, Frame, Notice, Render};

use super::wire::{ChatMessage, InRoom, MessageDeleted, Room};

/// 004's words.
#[derive(Clone, Copy, Debug)]
pub struct Chatto;

impl Render for Chatto {
    fn protocol(&self) -> &'static str {
        "chatto"
    }

    fn render(&self, event: &Event, _: u8) -> Vec<Frame> {
        let frame = match event {
            Event::Change(change) => render_change(change),
            Event::Notice(Notice::RoomCreated(room)) => {
                Some(Frame::new("room created", &Room::from(&**room)))
            }
            Event::Notice(_) => None,
            Event::Fleeting(fleeting) => render_fleeting(fleeting),
        };
        frame.into_iter().collect()
    }
}

fn render_change(change: &Change) -> Option<Frame> {
    match &change.kind {
        ChangeKind::Posted(message) => {
            Some(Frame::new("chat message", &ChatMessage::from(&**message)))
        }
        ChangeKind::Edited(message) => {
            Some(Frame::new("message edited", &ChatMessage::from(&**message)))
        }
        ChangeKind::Deleted { message } => {
            let (id, room) = (message.to_string(), change.conversation.to_string());
            Some(Frame::new("message deleted", &MessageDeleted { id, room }))
        }
        ChangeKind::Read { .. } | ChangeKind::Void => None,
    }
}

fn render_fleeting(fleeting: &Fleeting) -> Option<Frame> {
    let (event, conversation, name) = match fleeting {
        Fleeting::Typing { conversation, name, .. } => ("typing", conversation, name),
        Fleeting::Entered { conversation, name, .. } => ("user joined room", conversation, name),
        Fleeting::Left { conversation, name } => ("user left room", conversation, name),
        _ => return None,
    };
    let body = InRoom { room_id: conversation.to_string(), user: name.as_str() };
    Some(Frame::fleeting(event, &body))
}
