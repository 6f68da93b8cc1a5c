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
//! | [`sessions`] | closes the sockets of sessions that ended | |
//! | [`server`], [`connections`] | accept connections, each with a kill switch and a write deadline | |
//! | `polling` | bounds on what comes in by polling | 1 |
//! | `outbound` | the way out of a connection: finished frames, written many at a time | 10 |
//! | [`backlog`] | how many bytes wait for one client | 10 |
//! | [`visitors`] | how many connections there are from each address | |
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
pub mod feed;
mod incoming;
mod outbound;
mod polling;
pub mod presence;
pub mod probe;
mod remembered;
#[cfg(feature = "sabotage")]
pub mod sabotage;
pub mod server;
pub mod sessions;
pub mod sockets;
pub mod subscriber;
pub mod visitors;
pub mod whisper;
