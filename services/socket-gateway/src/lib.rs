//! socket-gateway: holds the sockets, knows nothing durable, can be killed at any moment.
//!
//! | module | what it does | hop |
//! |---|---|---|
//! | [`sockets`] | mounts the dialects' socket legs on Socket.IO: handshake, ordered inbox, sink | 1, 10 |
//! | [`chat_client`] | the port `Chat`, over gRPC | 2 |
//! | [`subscriber`] | Redis pub/sub: one connection that survives restarts | 8 |
//! | [`probe`], [`whisper`] | the bus proves itself; publishing what is fleeting | |
//! | [`feed`] | the port `Feed`: who here follows what; holes repaired, order kept | 9 |
//! | [`presence`] | who is in which room, by lease in Redis | |
//! | [`sessions`], `guests` | close the sockets of sessions that ended, and of guests whose name is registered | |
//! | [`server`], [`connections`] | accept connections, each with a kill switch and a write deadline | |
//! | `polling`, `engine_io` | bounds on what comes in by polling | 1 |
//! | `outbound` | the way out of a connection: finished frames, written many at a time | 10 |
//! | [`backlog`] | how many bytes wait for one client | 10 |
//! | `visitors`, `stays` | how many websockets and sessions there are from each address | 1 |
//! | `counted` | how many are at something just now | |
//! | `remembered` | the newest keys, to know them again | |
//! | [`admin`], [`counts`] | health, readiness, metrics | |

pub mod admin;
pub mod app;
pub mod backlog;
pub mod chat_client;
pub mod config;
pub mod connections;
mod counted;
pub mod counts;
mod engine_io;
pub mod feed;
mod guests;
mod incoming;
mod outbound;
mod polling;
pub mod presence;
pub mod probe;
mod refusal;
mod remembered;
#[cfg(feature = "sabotage")]
pub mod sabotage;
pub mod server;
pub mod sessions;
pub mod sockets;
mod stays;
pub mod subscriber;
mod visitors;
pub mod whisper;
