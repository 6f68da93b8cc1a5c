//! 004 Chatto: rooms over Socket.IO. See `README.md` beside this file.

pub mod render;
pub mod rest;
pub mod socket;
pub mod wire;
