//! What end-to-end tests are written with.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use harness::Arena;
//!
//! let arena = Arena::shared().await?;
//! let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
//! let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
//! let room = &alice.makes_room(&arena.unique("tea")).await?;
//! alice.joins(room).await?;
//! bob.joins(room).await?;
//! alice.says(room, "hi").await?;
//! bob.reads("hi").await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`arena`] | the stack under test |
//! | [`person`] | somebody registered, and a socket that speaks Chatto (004) |
//! | [`socket_io`] | a Socket.IO client, any namespace and path |
//! | [`deaf`] | a Socket.IO client that stops reading |
//! | [`plain`] | a WebSocket client for JSON frames |
//! | [`http`] | an HTTP client that keeps cookies |
//! | [`issuer`] | an issuer of tokens, with its keys and the server that tells them |
//! | [`collector`] | a collector of traces |
//! | [`mailbox`] | what a client has heard, and waiting for more |

pub mod arena;
pub mod collector;
pub mod deaf;
pub mod http;
pub mod issuer;
pub mod mailbox;
pub mod person;
pub mod plain;
pub mod socket_io;
mod wire;

pub use arena::Arena;
pub use deaf::DeafSocket;
pub use http::{Answer, Http};
pub use mailbox::{Heard, Mailbox, PATIENCE};
pub use person::{Chatter, Person, granted, refused};
pub use plain::PlainSocket;
pub use socket_io::{Knock, Packet, SocketIo};
pub use wire::Refused;
