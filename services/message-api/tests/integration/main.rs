//! The rules and the store on real MySQL (or MariaDB) and Redis. `make test` provides them.

mod accounts;
mod changes;
mod commit;
mod concurrency;
mod conversations;
mod directs;
mod flags;
mod inbox;
mod lone;
mod media;
mod migrations;
mod outages;
mod process;
mod reads;
mod refusals;
mod removal;
mod secrets;
mod services;
mod streams;
mod support;
mod texts;
mod tls;
mod unread;
mod users;
mod verbs;
mod watch;
