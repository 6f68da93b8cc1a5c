//! What was uploaded, and by whom. The bytes are in the object store.

use std::collections::BTreeSet;

use chat_core::{UserId, clock};
use sqlx::AssertSqlSafe;

use super::{Result, Store};

/// A file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Medium {
    /// Its type, as its content told.
    pub content_type: String,
    /// How many bytes.
    pub size: u32,
}

impl Store {
    /// Remembers a file whose bytes are stored.
    pub async fn add_medium(&self, id: &str, owner: UserId, medium: &Medium) -> Result<()> {
        sqlx::query(
            "INSERT INTO media (id, owner_id, content_type, size, created_at) \
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(owner.0)
        .bind(&medium.content_type)
        .bind(medium.size)
        .bind(clock::now())
        .execute(&mut *self.connection().await?)
        .await?;
        Ok(())
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
