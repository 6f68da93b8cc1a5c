//! Running a transaction: in bounded time, and again when another one was in the way.

use std::time::Duration;

use async_trait::async_trait;
use chat_core::{child_span, process::Backoff};
use sqlx::{Executor, MySql, MySqlConnection, pool::PoolConnection};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::{Result, Store, StoreError};

/// How often a transaction is tried when others are in the way.
const ATTEMPTS: u32 = 6;

/// How long one try may take, so that a database that has gone silent holds nobody up for long.
const LIMIT: Duration = Duration::from_millis(3_500);

/// How long a rollback may take.
const ROLLBACK: Duration = Duration::from_secs(1);

/// For how long a connection is kept before the pool looks after it again.
const KEPT: Duration = Duration::from_secs(60);

/// A transaction, from BEGIN to COMMIT. It may be run again from its start, after a rollback.
#[async_trait]
pub(super) trait Transaction: Sync {
    /// What it finds out.
    type Out: Send;

    /// Does it. An error rolls everything back.
    async fn commit(&self, connection: &mut MySqlConnection) -> Result<Self::Out>;

    /// Will the same, after this error, go another way?
    fn worth_repeating(&self, error: &StoreError) -> bool;
}

/// What is done between BEGIN and COMMIT, where these need no thought.
#[async_trait]
pub(super) trait Work: Sync {
    /// What it finds out.
    type Out: Send;

    /// Does it. An error rolls everything back.
    async fn run(&self, connection: &mut MySqlConnection) -> Result<Self::Out>;
}

#[async_trait]
impl<W: Work> Transaction for W {
    type Out = W::Out;

    async fn commit(&self, connection: &mut MySqlConnection) -> Result<W::Out> {
        connection.execute("BEGIN").await?;
        let out = self.run(connection).await?;
        connection.execute("COMMIT").await?;
        Ok(out)
    }

    fn worth_repeating(&self, error: &StoreError) -> bool {
        error.is_contention()
    }
}

/// A connection that is kept from one transaction to the next. The pool asks each that it gives
/// out or takes back whether it still works: three more round trips.
#[derive(Debug, Default)]
pub(super) struct Kept(Option<(PoolConnection<MySql>, Instant)>);

impl Kept {
    async fn take(&mut self, store: &Store) -> Result<UnderWay> {
        let (connection, since) = match self.0.take() {
            Some((connection, since)) if since.elapsed() < KEPT => (connection, since),
            _ => (store.connection().await?, Instant::now()),
        };
        Ok(UnderWay { connection: Some(connection), since })
    }
}

/// A connection in the middle of a transaction. One that is left there is closed, and must not go
/// back to the pool: its answer is still to come, or it still holds rows.
struct UnderWay {
    connection: Option<PoolConnection<MySql>>,
    since: Instant,
}

impl UnderWay {
    async fn commit<T: Transaction>(&mut self, work: &T) -> Result<T::Out> {
        let connection = self.connection.as_mut().ok_or(StoreError::TooSlow)?;
        timeout(LIMIT, work.commit(connection)).await.unwrap_or(Err(StoreError::TooSlow))
    }

    /// Did it end the transaction?
    async fn roll_back(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        matches!(timeout(ROLLBACK, connection.execute("ROLLBACK")).await, Ok(Ok(_)))
    }

    fn keep(mut self, kept: &mut Kept) {
        kept.0 = self.connection.take().map(|connection| (connection, self.since));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

impl Store {
    /// Runs it until it is committed, refused, or has failed too often.
    pub(super) async fn transact<T: Transaction>(&self, work: &T) -> Result<T::Out> {
        self.transact_on(&mut Kept::default(), work).await
    }

    /// The same, on a connection that is kept for the next time.
    pub(super) async fn transact_on<T: Transaction>(
        &self,
        kept: &mut Kept,
        work: &T,
    ) -> Result<T::Out> {
        let mut backoff = Backoff::new(Duration::from_millis(4), Duration::from_millis(100));
        for _ in 1..ATTEMPTS {
            match self.attempt(kept, work).await {
                Err(error) if work.worth_repeating(&error) => {
                    metrics::counter!("switchboard_transactions_repeated_total").increment(1);
                    tracing::debug!(%error, "transaction repeated");
                    backoff.wait().await;
                }
                done => return done,
            }
        }
        self.attempt(kept, work).await
    }

    async fn attempt<T: Transaction>(&self, kept: &mut Kept, work: &T) -> Result<T::Out> {
        let mut under_way = kept.take(self).await?;
        let span = child_span!("transaction", otel.kind = "client", db.system.name = "mysql");
        let done = under_way.commit(work).instrument(span).await;
        let has_ended = match &done {
            Ok(_) => true,
            Err(StoreError::TooSlow) => false,
            Err(_) => under_way.roll_back().await,
        };
        if has_ended {
            under_way.keep(kept);
        }
        done
    }
}
