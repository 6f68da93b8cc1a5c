//! 003 messenger: direct messages, read receipts, presence, files. See `README.md` beside this file.

pub mod asks;
mod ear;
mod peers;
pub mod plain;
pub mod render;
pub mod rest;
pub mod socket;
pub mod wire;

pub use plain::plain_router;
