//! What the load generator and the bare server share: the bytes on the wire.

pub mod wire;
