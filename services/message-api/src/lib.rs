//! message-api: owns users, sessions, conversations and messages. REST for people, gRPC for the
//! gateways, MySQL for what must last, Redis for sessions and for telling the gateways.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | every setting |
//! | [`app`] | puts the parts together, runs and stops them |
//! | `answers` | long answers take so much room together |
//! | [`http`] | mounts the dialects' REST legs |
//! | [`web`] | the web client: its files, its pages |
//! | [`grpc`] | hop 4: requests become the model's commands |
//! | [`chat`] | hop 5: the rules; permit, store, publish |
//! | [`store`] | hop 6: SQL, group commit, migrations |
//! | [`publisher`] | hop 7: Redis PUBLISH after the commit |
//! | [`sessions`], [`tokens`], [`passwords`] | who is who |
//! | [`issuers`] | tokens of others, and their keys |
//! | [`doorkeeper`] | who knocks too often waits outside |
//! | `refusals` | what of a run is refused before the rest is asked for |
//! | [`watch`] | everything durable, as a stream for other services |
//! | [`media`] | uploads: their kind, their bytes, whose they are |
//! | [`status`] | what all replicas of both services do just now, as JSON |
//! | [`admin`], [`counts`] | health, readiness, metrics |

pub mod admin;
mod answers;
pub mod app;
pub mod chat;
pub mod config;
pub mod counts;
pub mod doorkeeper;
pub mod grpc;
pub mod http;
pub mod issuers;
pub mod media;
pub mod passwords;
pub mod publisher;
mod refusals;
pub mod sessions;
pub mod status;
pub mod store;
pub mod tokens;
pub mod watch;
pub mod web;
