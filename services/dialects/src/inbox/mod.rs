//! One's inbox: rooms and directs with what is unread, for clients of any protocol. See `README.md`
//! beside this file.

pub(crate) mod rest;
pub(crate) mod wire;
