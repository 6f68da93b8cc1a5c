//! Messages and changes as two logs in the order of their ids, whatever their conversations: how
//! those who watch find what is new.
//!
//! Within a conversation ids rise with the seqs, in each log: whoever stores there holds the
//! conversation, and ids are given out in between. Over all conversations they don't: a
//! higher id may be committed before a lower one.

use std::ops::RangeInclusive;

use chat_core::{ConversationId, Seq};
use sqlx::{AssertSqlSafe, Executor, FromRow, Row};

use super::{Result, Store};

/// One of the two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Posts.
    Messages,
    /// Edits, deletions, reads.
    Changes,
}

/// An id in each log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Of a message.
    pub messages: u64,
    /// Of another change.
    pub changes: u64,
}

/// That there is a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// In its log.
    pub id: u64,
    /// Whose change.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
}

type Row3 = (u64, u64, u64);

fn sighting((id, conversation, seq): Row3) -> Sighting {
    Sighting { id, conversation: ConversationId::from_raw(conversation), seq: Seq(seq) }
}

impl Store {
    /// The highest ids that are there: two looks at the ends of indexes.
    pub async fn newest_ids(&self) -> Result<Ids> {
        let row = sqlx::query(
            "SELECT (SELECT MAX(id) FROM messages) AS m, (SELECT MAX(id) FROM changes) AS c",
        )
        .fetch_one(&self.pool)
        .await?;
        let id = |name| Ok::<_, sqlx::Error>(row.try_get::<Option<u64>, _>(name)?.unwrap_or(0));
        Ok(Ids { messages: id("m")?, changes: id("c")? })
    }

    /// The first entries of a log after an id. An index holds all that is asked for.
    pub async fn entries_after(&self, log: Log, id: u64, limit: u32) -> Result<Vec<Sighting>> {
        let query = match log {
            Log::Messages => sqlx::query_as::<_, Row3>(
                "SELECT id, conversation_id, seq FROM messages FORCE INDEX (messages_id) \
                 WHERE id > ? ORDER BY id LIMIT ?",
            ),
            Log::Changes => sqlx::query_as::<_, Row3>(
                "SELECT id, conversation_id, seq FROM changes FORCE INDEX (changes_id) \
                 WHERE id > ? ORDER BY id LIMIT ?",
            ),
        };
        let rows = query.bind(id).bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(sighting).collect())
    }

    /// The entries of a log whose ids lie in some ranges, in the order of their ids.
    pub async fn entries_in(
        &self,
        log: Log,
        ranges: &[RangeInclusive<u64>],
    ) -> Result<Vec<Sighting>> {
        self.entries(log, ranges, "").await
    }

    /// The same, if no transaction holds one of them that is not committed yet.
    pub async fn entries_decided(
        &self,
        log: Log,
        ranges: &[RangeInclusive<u64>],
    ) -> Result<Option<Vec<Sighting>>> {
        match self.entries(log, ranges, "FOR UPDATE NOWAIT").await {
            Ok(entries) => Ok(Some(entries)),
            Err(held) if held.is_held() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn entries(
        &self,
        log: Log,
        ranges: &[RangeInclusive<u64>],
        lock: &str,
    ) -> Result<Vec<Sighting>> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let (table, index) = match log {
            Log::Messages => ("messages", "messages_id"),
            Log::Changes => ("changes", "changes_id"),
        };
        let selects: Vec<_> = ranges
            .iter()
            .map(|range| format!("id BETWEEN {} AND {}", range.start(), range.end()))
            .collect();
        let sql = format!(
            "SELECT id, conversation_id, seq FROM {table} FORCE INDEX ({index}) WHERE {} \
             ORDER BY id {lock}",
            selects.join(" OR ")
        );
        let rows = self.pool.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        let rows = rows.iter().map(Row3::from_row).collect::<sqlx::Result<Vec<_>>>()?;
        Ok(rows.into_iter().map(sighting).collect())
    }

    /// The place in a conversation below `until` up to which no entry of either log has a higher
    /// id than these: everything up to there has been read by who has read the logs so far.
    pub async fn place_of(&self, at: ConversationId, until: Seq, read: Ids) -> Result<Seq> {
        // Far, and no farther than need be: by doubling steps back, then by halves.
        let (mut unread, mut step) = (until.0, 1);
        let mut found = loop {
            let place = unread.saturating_sub(step);
            if place == 0 || self.is_read(at, place, read).await? {
                break place;
            }
            (unread, step) = (place, step * 2);
        };
        while unread - found > 1 {
            let middle = found + (unread - found) / 2;
            if self.is_read(at, middle, read).await? {
                found = middle;
            } else {
                unread = middle;
            }
        }
        Ok(Seq(found))
    }

    /// Have the newest entries of both logs up to this place ids that are not higher?
    async fn is_read(&self, at: ConversationId, place: u64, read: Ids) -> Result<bool> {
        let row = sqlx::query(
            "SELECT (SELECT id FROM messages FORCE INDEX (PRIMARY) \
             WHERE conversation_id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1) AS m, \
             (SELECT id FROM changes FORCE INDEX (PRIMARY) \
             WHERE conversation_id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1) AS c",
        )
        .bind(at.raw())
        .bind(place)
        .bind(at.raw())
        .bind(place)
        .fetch_one(&self.pool)
        .await?;
        let id = |name| Ok::<_, sqlx::Error>(row.try_get::<Option<u64>, _>(name)?.unwrap_or(0));
        Ok(id("m")? <= read.messages && id("c")? <= read.changes)
    }
}
