//! The whole product on one machine: for `make run`, and for tests.
//!
//! | module | what it does |
//! |---|---|
//! | [`options`] | what a stack shall consist of |
//! | [`stack`] | brings it up, hands out its parts and URLs, stops it in order |
//! | [`part`] | one supervised program: start, kill, pause, restart, wait until ready |
//! | `backing`, `mariadb`, `redis` | the servers below; private ones, or given by URL |
//! | [`certificates`] | for servers that speak TLS |
//! | `services`, `front` | how message-api, the gateways and HAProxy are started |
//! | `addresses`, `ports` | who listens where |
//! | [`strait`] | proxies between the parts, for tests: slow, silent, cut |
//! | `home`, `place`, `janitor` | directories, locks, what is cleaned up and when |
//!
//! Programs die with the process that started them, however it ends.

mod addresses;
pub mod backing;
pub mod certificates;
mod front;
mod home;
pub mod janitor;
mod mariadb;
pub mod options;
pub mod part;
mod place;
pub mod ports;
mod redis;
mod services;
pub mod stack;
pub mod strait;

pub use backing::{Servers, Source};
pub use certificates::{Authority, Identity};
pub use options::Options;
pub use part::{Command, LogSink, Part, silent, terminal};
pub use ports::{FixedPorts, Ports};
pub use redis::RedisKind;
pub use stack::{Stack, Urls};
pub use strait::{Link, Straits, Weather};
