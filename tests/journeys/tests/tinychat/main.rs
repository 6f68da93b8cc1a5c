//! 000 against the real product: its REST routes, its relay, and the bridge to the other protocols.

mod editing;
mod relay;
mod rest;
mod support;
