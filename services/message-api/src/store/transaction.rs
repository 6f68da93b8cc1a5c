//! Running a transaction: in bounded time, and again when another one was in the way.

use std::time::Duration;

use async_trait::async_trait;
use chat_core::process::Backoff;
use sqlx::{Connection, MySqlConnection, pool::PoolConnection};

use super::{Result, Store, StoreError};

/// How often a transaction is tried when others are in the way.
const ATTEMPTS: u32 = 6;

/// How long one try may take, so that a database that has gone silent holds nobody up for long.
const LIMIT: Duration = Duration::from_millis(3_500);

/// What one transaction does. It may be run again from its start, after a rollback.
#[async_trait]
pub(super) trait Work: Sync {
    /// What it finds out.
    type Out: Send;

    /// Does it. An error rolls everything back.
    async fn run(&self, connection: &mut MySqlConnection) -> Result<Self::Out>;

    /// Will the same work, after this error, go another way?
    fn worth_repeating(&self, error: &StoreError) -> bool {
        error.is_contention()
    }
}

impl Store {
    /// Runs it until it is committed, refused, or has failed too often.
    pub(super) async fn transact<W: Work>(&self, work: &W) -> Result<W::Out> {
        let mut backoff = Backoff::new(Duration::from_millis(4), Duration::from_millis(100));
        for _ in 1..ATTEMPTS {
            match self.attempt(work).await {
                Err(error) if work.worth_repeating(&error) => {
                    metrics::counter!("switchboard_transactions_repeated_total").increment(1);
                    tracing::debug!(%error, "transaction repeated");
                    backoff.wait().await;
                }
                done => return done,
            }
        }
        self.attempt(work).await
    }

    async fn attempt<W: Work>(&self, work: &W) -> Result<W::Out> {
        let mut connection = self.pool.acquire().await?;
        if let Ok(done) = tokio::time::timeout(LIMIT, commit(&mut connection, work)).await {
            return done;
        }
        // Its answer is still to come: such a connection must not go back to the pool.
        drop(connection.detach());
        Err(StoreError::TooSlow)
    }
}

async fn commit<W: Work>(connection: &mut PoolConnection<sqlx::MySql>, work: &W) -> Result<W::Out> {
    let mut transaction = connection.begin().await?;
    // Dropping the transaction rolls it back.
    let out = work.run(&mut transaction).await?;
    transaction.commit().await?;
    Ok(out)
}
