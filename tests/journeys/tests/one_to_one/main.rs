//! 002 against the real product: its pages, its channels, who is online, and typing.

mod channels;
mod guests;
mod online;
mod pages;
mod support;
mod typing;
