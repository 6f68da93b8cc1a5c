//! 002 one-to-one: so far its accounts. See `README.md` beside this file.

pub mod rest;
