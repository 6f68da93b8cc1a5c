//! 000 tinychat: one lobby, relayed between sockets, stored by REST. See `README.md` beside this file.

pub mod render;
pub mod rest;
pub mod socket;
pub mod wire;
