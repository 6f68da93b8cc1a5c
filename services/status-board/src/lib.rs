//! The status board: every replica's figures, written into Redis once a second, where every
//! message-api can read them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`beat`] | what a replica says of itself |
//! | [`spread`] | how often something took how long, and estimates from that |
//! | `counts` | the figures, read from the replica's own metrics |
//! | `window` | what happened of late: rates, and latencies of the last seconds |
//! | [`board`] | Redis: writes, reads, forgets |
//! | [`reporter`] | the task that beats |
//!
//! The board is for people who look. Nothing depends on it: while Redis is away nobody can read
//! it, and that is all.

pub mod beat;
pub mod board;
mod counts;
pub mod reporter;
pub mod spread;
mod window;

pub use self::{
    beat::{Beat, Condition, Figures, State},
    board::{Board, Heard},
    reporter::Reporter,
    spread::Spread,
};
