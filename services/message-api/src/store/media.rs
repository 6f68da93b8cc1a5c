//! What was uploaded, by whom, and how much of it. The bytes are in the object store.
//!
//! A file has its row before its first byte lies there, and until its last is gone: nothing lies
//! there that does not count as its owner's.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use chat_core::{ChatError, Code, UserId, clock};
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::{Result, Store, transaction::Work};

/// The least that a file counts as.
const BLOCK: u32 = 4_096;

/// `media.state`. What is below [`ON_ITS_WAY`](state::ON_ITS_WAY) can be had.
pub(super) mod state {
    /// Which messages name it is known, unlike of what came before that was kept (0).
    pub(in crate::store) const STORED: u8 = 1;
    pub(in crate::store) const ON_ITS_WAY: u8 = 2;
    pub(in crate::store) const DOOMED: u8 = 3;
}

/// A file that is to be removed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Doomed {
    /// Its id.
    pub id: String,
    owner_id: u64,
    size: u32,
}

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
        weight(self.size)
    }
}

/// What a file of so many bytes counts as.
const fn weight(size: u32) -> u64 {
    let weight = if size < BLOCK { BLOCK } else { size };
    weight as u64
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
            "INSERT INTO media (id, owner_id, content_type, size, created_at, state) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(owner.0)
        .bind(&medium.content_type)
        .bind(medium.size)
        .bind(clock::now())
        .bind(state::ON_ITS_WAY)
        .execute(&mut *connection)
        .await?;
        Ok(())
    }
}

/// Forgetting a file whose bytes are gone. Whoever does it first gives its owner the room back.
struct Forget<'a>(&'a Doomed);

#[async_trait]
impl Work for Forget<'_> {
    type Out = bool;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<bool> {
        let Doomed { id, owner_id, size } = self.0;
        let forgotten = sqlx::query("DELETE FROM media WHERE id = ? AND state = ?")
            .bind(id)
            .bind(state::DOOMED)
            .execute(&mut *connection)
            .await?;
        if forgotten.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("UPDATE media_use SET bytes = bytes - LEAST(bytes, ?) WHERE owner_id = ?")
            .bind(weight(*size))
            .bind(owner_id)
            .execute(&mut *connection)
            .await?;
        Ok(true)
    }
}

/// The refusal of a file that its owner has no room for.
fn full(quota: u64) -> ChatError {
    let sentence = format!("this file does not fit: yours may take {quota} bytes together");
    ChatError::new(Code::PayloadTooLarge, sentence)
}

impl Store {
    /// Remembers a file whose bytes are about to be stored. Fails with `payload_too_large` if its
    /// owner, who may have so many bytes, has no room for it.
    pub async fn add_medium(
        &self,
        id: &str,
        owner: UserId,
        medium: &Medium,
        quota: u64,
    ) -> Result<()> {
        self.transact(&Addition { id, owner, medium, quota }).await
    }

    /// The bytes are stored. False if it took so long that the file is being removed.
    pub async fn settle_medium(&self, id: &str) -> Result<bool> {
        self.move_medium(id, state::STORED).await
    }

    /// The bytes could not be stored, or not as a whole.
    pub async fn give_up_medium(&self, id: &str) -> Result<()> {
        let is_first = self.move_medium(id, state::DOOMED).await?;
        self.tell_doomed(is_first);
        Ok(())
    }

    async fn move_medium(&self, id: &str, state: u8) -> Result<bool> {
        let moved = sqlx::query("UPDATE media SET state = ? WHERE id = ? AND state = ?")
            .bind(state)
            .bind(id)
            .bind(state::ON_ITS_WAY)
            .execute(&mut *self.connection().await?)
            .await?;
        Ok(moved.rows_affected() == 1)
    }

    /// Gives up what has been on its way for so long: whoever stored it is gone.
    pub async fn give_up_old_media(&self, age: Duration) -> Result<()> {
        sqlx::query("UPDATE media SET state = ? WHERE state = ? AND created_at < ? LIMIT 1000")
            .bind(state::DOOMED)
            .bind(state::ON_ITS_WAY)
            .bind(clock::now() - age)
            .execute(&mut *self.connection().await?)
            .await?;
        Ok(())
    }

    /// So many of the files that are to be removed, after that one.
    pub async fn doomed_media(&self, after: &str, limit: u32) -> Result<Vec<Doomed>> {
        Ok(sqlx::query_as(
            "SELECT id, owner_id, size FROM media FORCE INDEX (media_state) \
             WHERE state = ? AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(state::DOOMED)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *self.connection().await?)
        .await?)
    }

    /// Forgets a file whose bytes are gone, unless another replica was faster: then false.
    pub async fn forget_medium(&self, doomed: &Doomed) -> Result<bool> {
        self.transact(&Forget(doomed)).await
    }

    /// Says that there may be files to remove.
    pub(super) fn tell_doomed(&self, are_there: bool) {
        if are_there {
            self.doomed.notify_one();
        }
    }

    /// Waits until there may be files to remove.
    pub async fn until_doomed(&self) {
        self.doomed.notified().await;
    }

    /// The file of an id.
    pub async fn medium(&self, id: &str) -> Result<Option<Medium>> {
        Ok(sqlx::query_as("SELECT content_type, size FROM media WHERE id = ? AND state < ?")
            .bind(id)
            .bind(state::ON_ITS_WAY)
            .fetch_optional(&mut *self.connection().await?)
            .await?)
    }

    /// Did this user upload all of these?
    pub async fn owns_media(&self, owner: UserId, ids: &BTreeSet<&str>) -> Result<bool> {
        let marks = vec!["?"; ids.len()].join(",");
        let sql = format!(
            "SELECT COUNT(*) FROM media WHERE owner_id = ? AND state < ? AND id IN ({marks})"
        );
        let mut query =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(owner.0).bind(state::ON_ITS_WAY);
        for id in ids {
            query = query.bind(*id);
        }
        let owned: i64 = query.fetch_one(&mut *self.connection().await?).await?;
        Ok(usize::try_from(owned).is_ok_and(|owned| owned == ids.len()))
    }
}
