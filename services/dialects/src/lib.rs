//! One folder for each client protocol: its REST leg, its socket leg, its wire shapes, a README.
//!
//! A dialect sees only the two ports, [`Chat`](chat_core::Chat) and [`Feed`](chat_core::Feed).
//! message-api mounts the REST legs ([`rest::router`]), socket-gateway the socket legs
//! ([`socket::Leg`]). A sixth protocol is one new folder and one line in each of the two.
//!
//! | folder | protocol | REST | sockets |
//! |---|---|---|---|
//! | [`conversations`] | 001 | `/auth/register`, `/api/conversations…` | `/ws/conversations/{id}` |
//! | [`tinychat`] | 000 | `/api/v1/messages` | Socket.IO, `/` and `/tinychat` |
//! | [`one_to_one`] | 002 | `/register`, `/login`, `/logout`, pages `/`, `/io` | Socket.IO, `/` and `/one-to-one` |
//! | [`messenger`] | 003 | `/api/auth/…`, `/api/upload/files`, `/media/…` | Socket.IO path `/ws`, namespace `/chat`; plain WebSocket `/ws` |
//! | [`chatto`] | 004 | `/api/register`, `/api/login`, `/api/verify`, `/api/rooms` | Socket.IO, `/` and `/chatto` |
//!
//! Beside them `inbox`, of no protocol: what any client needs to draw its list of conversations.

pub mod accept;
pub mod address;
pub mod allowance;
pub mod chatto;
pub mod conversations;
pub mod edge;
pub mod handshake;
#[cfg(test)]
mod hostile;
mod inbox;
pub mod json;
pub mod live;
pub mod messenger;
pub mod observe;
pub mod one_to_one;
pub mod origin;
pub mod pace;
pub mod payload;
pub mod places;
mod purse;
pub mod rest;
mod run;
pub mod socket;
pub mod tinychat;
pub mod unread;

/// The protocols that can be enabled, each a folder here.
pub const PROTOCOLS: &[&str] = &["tinychat", "conversations", "one-to-one", "messenger", "chatto"];

/// One of [`PROTOCOLS`], for the setting of that name. The error is one sentence.
pub fn parse_protocol(raw: &str) -> Result<String, String> {
    match PROTOCOLS.contains(&raw) {
        true => Ok(raw.to_owned()),
        false => Err(format!("PROTOCOLS may name only {}", PROTOCOLS.join(", "))),
    }
}
