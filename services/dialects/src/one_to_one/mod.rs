//! 002 one-to-one: direct messages between two users who log in with a page. See `README.md`
//! beside this file.

mod everybody;
pub mod render;
pub mod rest;
pub mod roster;
pub mod socket;
pub mod typing;
pub mod wire;
