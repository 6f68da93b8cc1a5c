//! One folder for each client protocol: its REST leg, its socket leg, its wire shapes, a README.
//!
//! A dialect sees only the two ports, [`Chat`](chat_core::Chat) and [`Feed`](chat_core::Feed).
//! message-api mounts the REST legs ([`rest::router`]), socket-gateway the socket legs
//! ([`socket::Leg`]). A sixth protocol is one new folder and one line in each of the two.
//!
//! | folder | protocol | REST | sockets |
//! |---|---|---|---|
//! | [`conversations`] | 001 | `/auth/register`, `/api/conversations…` | `/ws/conversations/{id}` |
//! | [`one_to_one`] | 002 | `/register`, `/login`, `/logout` | |
//! | [`chatto`] | 004 | `/api/register`, `/api/login`, `/api/verify`, `/api/rooms` | Socket.IO, `/` and `/chatto` |

pub mod chatto;
pub mod conversations;
pub mod handshake;
pub mod one_to_one;
pub mod origin;
pub mod pace;
pub mod payload;
pub mod rest;
pub mod socket;
