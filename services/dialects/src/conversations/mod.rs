//! 001 conversations: topics over REST, live over plain WebSocket. See `README.md` beside this file.

pub mod render;
pub mod rest;
pub mod socket;
pub mod wire;
