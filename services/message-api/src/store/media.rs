//! What was uploaded, by whom, and how much of it. The bytes are in the object store.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chat_core::{ChatError, Code, UserId, clock};
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::{Result, Store, transaction::Work};

/// The least that a file counts as.
const BLOCK: u32 = 4_096;

/// A file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Medium {
    /// Its type, as its content told.
    pub content_type: String,
    /// How many bytes.
    pub size: u32,
}

impl Medium {
    /// What it counts as, in bytes.
    const fn weight(&self) -> u64 {
        let weight = if self.size < BLOCK { BLOCK } else { self.size };
        weight as u64
    }
}

/// Remembering a file, if its owner may have so much.
struct Addition<'a> {
    id: &'a str,
    owner: UserId,
    medium: &'a Medium,
    quota: u64,
}

#[async_trait]
impl Work for Addition<'_> {
    type Out = ();

    async fn run(&self, connection: &mut MySqlConnection) -> Result<()> {
        let Self { id, owner, medium, quota } = self;
        // Holds the row until the commit, so that uploads at the same time are counted one by one.
        sqlx::query(
            "INSERT INTO media_use (owner_id, bytes) VALUES (?, ?) \
             ON DUPLICATE KEY UPDATE bytes = bytes + VALUES(bytes)",
        )
        .bind(owner.0)
        .bind(medium.weight())
        .execute(&mut *connection)
        .await?;
        let used: u64 = sqlx::query_scalar("SELECT bytes FROM media_use WHERE owner_id = ?")
            .bind(owner.0)
            .fetch_one(&mut *connection)
            .await?;
        if used > *quota {
            return Err(full(*quota).into());
        }
        sqlx::query(
            "INSERT INTO media (id, owner_id, content_type, size, created_at) \
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(owner.0)
        .bind(&medium.content_type)
        .bind(medium.size)
        .bind(clock::now())
        .execute(&mut *connection)
        .await?;
        Ok(())
    }
}

/// The refusal of a file that its owner has no room for.
fn full(quota: u64) -> ChatError {
    let sentence = format!("this file does not fit: yours may take {quota} bytes together");
    ChatError::new(Code::PayloadTooLarge, sentence)
}

impl Store {
    /// Fails with `payload_too_large` if a user who may have so many bytes has no room for a file.
    pub async fn room_for_medium(&self, owner: UserId, medium: &Medium, quota: u64) -> Result<()> {
        let used: Option<u64> =
            sqlx::query_scalar("SELECT bytes FROM media_use WHERE owner_id = ?")
                .bind(owner.0)
                .fetch_optional(&mut *self.connection().await?)
                .await?;
        if used.unwrap_or_default().saturating_add(medium.weight()) > quota {
            return Err(full(quota).into());
        }
        Ok(())
    }

    /// Remembers a file whose bytes are stored. Fails as above.
    pub async fn add_medium(
        &self,
        id: &str,
        owner: UserId,
        medium: &Medium,
        quota: u64,
    ) -> Result<()> {
        self.transact(&Addition { id, owner, medium, quota }).await
    }

    /// The file of an id.
    pub async fn medium(&self, id: &str) -> Result<Option<Medium>> {
        Ok(sqlx::query_as("SELECT content_type, size FROM media WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *self.connection().await?)
            .await?)
    }

    /// Did this user upload all of these?
    pub async fn owns_media(&self, owner: UserId, ids: &BTreeSet<&str>) -> Result<bool> {
        let marks = vec!["?"; ids.len()].join(",");
        let sql = format!("SELECT COUNT(*) FROM media WHERE owner_id = ? AND id IN ({marks})");
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(owner.0);
        for id in ids {
            query = query.bind(*id);
        }
        let owned: i64 = query.fetch_one(&mut *self.connection().await?).await?;
        Ok(usize::try_from(owned).is_ok_and(|owned| owned == ids.len()))
    }
}
