//! REST against the real product: every route, with what is right and with what is wrong.

mod accounts;
mod chatto;
mod conversations;
mod directs;
mod entry;
mod messages;
mod openapi;
