//! REST against the real product: every route, with what is right and with what is wrong.

mod accounts;
mod chatto;
mod conversations;
mod directs;
mod entry;
mod inbox;
mod live;
mod messages;
mod openapi;
mod outages;
mod settings;
