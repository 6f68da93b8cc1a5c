//! Hop 6 of 10: SQL. From chat/messages.rs; next publisher.rs.
//!
//! | module | what it holds |
//! |---|---|
//! | [`database`] | the pool and what every connection is told |
//! | [`migrate`] | the schema, brought up to date by one replica at a time |
//! | [`group_commit`] | posts: one durable commit for all that queued up |
//! | `post`, `batch`, `hold`, `insert` | what such a commit takes and does |
//! | `revise` | edits, deletions, reads: each a transaction of its own |
//! | `changes` | the changes since a seq, and heads |
//! | `logs` | messages and changes in the order of their ids, for those who watch |
//! | `messages`, `conversations`, `directs`, `users` | reading, and making the latter three |
//! | `identities` | who of another issuer is which user |
//! | `inbox` | somebody's rooms and directs, with what is unread |
//! | `read_marks` | how far somebody has seen a conversation |
//! | `media`, `mentions` | what was uploaded; which messages name it |
//! | `transaction` | running one, again after a deadlock |
//! | `script` | many statements in one round trip |
//! | `rows` | what rows look like, kept apart from the model |
//!
//! The rule that everything rests on: whoever changes a conversation first holds its row, by raising
//! its `head` (`UPDATE conversations SET head = …`) or, for many at once, by `SELECT … FOR UPDATE`.
//! Until the commit nobody else gets a seq there, so that the changes of a conversation are stored
//! one after the other, without holes.

mod batch;
mod changes;
mod conversations;
pub mod database;
mod directs;
mod error;
pub mod group_commit;
mod hold;
mod identities;
mod inbox;
mod insert;
mod known;
mod logs;
mod media;
mod mentions;
mod messages;
pub mod migrate;
mod post;
mod read_marks;
mod revise;
mod rows;
mod script;
mod shapes;
mod transaction;
mod users;

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use chat_core::{ConversationId, ConversationKind, User, UserId};
use metrics::Histogram;
use sqlx::{MySql, MySqlPool, pool::PoolConnection};
use tokio::sync::Notify;

use self::known::Known;
pub use self::{
    error::StoreError,
    identities::{Binding, Bound},
    logs::{Ids, Log, Sighting},
    media::{Doomed, Medium},
    users::{Account, NewAccount, Standing},
};
pub(crate) use self::{messages::no_such_message, users::username_taken};

/// What the store's functions return.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// For how long a user is believed not to have been deleted by another replica.
const BELIEVED: Duration = Duration::from_secs(2);

/// The way to MySQL. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: MySqlPool,
    users: Arc<Known<UserId, User>>,
    kinds: Arc<Known<ConversationId, ConversationKind>>,
    /// Told when there may be files to remove.
    doomed: Arc<Notify>,
}

impl Store {
    /// A store on a pool whose database has been migrated.
    #[must_use]
    pub fn new(pool: MySqlPool) -> Self {
        Self {
            pool,
            users: Arc::new(Known::lasting(BELIEVED)),
            kinds: Arc::new(Known::for_good()),
            doomed: Arc::default(),
        }
    }

    /// Connections to MySQL, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// A connection; how long it was waited for is measured.
    async fn connection(&self) -> Result<PoolConnection<MySql>> {
        static WAIT: LazyLock<Histogram> = LazyLock::new(
            || metrics::histogram!("switchboard_pool_wait_seconds", "pool" => "mysql"),
        );
        let began = Instant::now();
        let connection = self.pool.acquire().await;
        WAIT.record(began.elapsed());
        Ok(connection?)
    }

    /// Can MySQL be reached?
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&mut *self.connection().await?).await?;
        Ok(())
    }
}
