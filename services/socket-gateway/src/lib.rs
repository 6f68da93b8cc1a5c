//! socket-gateway: holds the sockets, knows nothing durable, can be killed at any moment.
//!
//! | module | what it does | hop |
//! |---|---|---|
//! | [`sockets`] | mounts the dialects' socket legs on Socket.IO: handshake, ordered inbox, sink | 1, 10 |
//! | [`chat_client`] | the port `Chat`, over gRPC | 2 |
//! | [`subscriber`] | Redis pub/sub: one connection that survives restarts | 8 |
//! | [`feed`] | the port `Feed`: who here follows what; holes repaired, order kept | 9 |
//! | [`presence`] | who is in which room, by lease in Redis | |
//! | [`sessions`] | closes the sockets of sessions that ended | |
//! | [`server`], [`connections`], [`guarded_io`] | accept connections, each with a kill switch and a write deadline | |
//! | [`admin`] | health, readiness, metrics | |

pub mod admin;
pub mod app;
pub mod chat_client;
pub mod config;
pub mod connections;
pub mod feed;
pub mod guarded_io;
pub mod presence;
#[cfg(feature = "sabotage")]
pub mod sabotage;
pub mod server;
pub mod sessions;
pub mod sockets;
pub mod subscriber;
pub mod whisper;
