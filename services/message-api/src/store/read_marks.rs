//! How far users have seen conversations.

use chat_core::{ConversationId, MessageId, Seq, UserId, clock};
use time::OffsetDateTime;

use super::{Result, Store};

/// Among how many of a conversation's newest messages a time is looked for.
const LOOKED_THROUGH: u32 = 1_000;

/// How far somebody has seen a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Mark {
    /// When the newest message that they saw was stored.
    #[sqlx(rename = "seen_at")]
    pub at: OffsetDateTime,
    seen_seq: Option<u64>,
}

impl Mark {
    /// The mark at the message that has this place, stored then.
    fn new(at: OffsetDateTime, seq: Seq) -> Self {
        Self { at, seen_seq: Some(seq.0) }
    }

    /// Does the other one lie further, in time or place?
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        self.at < other.at || self.seen_seq < other.seen_seq
    }
}

impl Store {
    /// The mark of a user in a conversation.
    pub async fn read_mark(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Mark>> {
        Ok(sqlx::query_as(
            "SELECT seen_at, seen_seq FROM read_marks WHERE user_id = ? AND conversation_id = ?",
        )
        .bind(user.0)
        .bind(conversation.raw())
        .fetch_optional(&mut *self.connection().await?)
        .await?)
    }

    /// The mark at a message of the conversation, deleted or not; `None` if it is none of them.
    pub async fn mark_at_message(
        &self,
        conversation: ConversationId,
        message: MessageId,
    ) -> Result<Option<Mark>> {
        let place: Option<(OffsetDateTime, u64)> = sqlx::query_as(
            "SELECT created_at, seq FROM messages WHERE id = ? AND conversation_id = ?",
        )
        .bind(message.0)
        .bind(conversation.raw())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        Ok(place.map(|(at, seq)| Mark::new(at, Seq(seq))))
    }

    /// The mark at the newest message that was stored by then. Where none of the newest thousand
    /// is so old its place is the beginning: there is more unread than is counted in any case.
    pub async fn mark_at_time(
        &self,
        conversation: ConversationId,
        at: OffsetDateTime,
    ) -> Result<Mark> {
        // Cut to what the column holds, which MySQL would round.
        let at = clock::from_millis(clock::millis(at));
        let seq: Option<u64> = sqlx::query_scalar(
            "SELECT seq FROM (SELECT seq, created_at FROM messages WHERE conversation_id = ? \
             ORDER BY seq DESC LIMIT ?) newest WHERE created_at <= ? ORDER BY seq DESC LIMIT 1",
        )
        .bind(conversation.raw())
        .bind(LOOKED_THROUGH)
        .bind(at)
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        Ok(Mark::new(at, seq.map_or(Seq::START, Seq)))
    }

    /// Moves the mark forward; as far as one lies further already it stays.
    pub async fn move_read_mark(
        &self,
        user: UserId,
        conversation: ConversationId,
        mark: &Mark,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO read_marks (user_id, conversation_id, seen_at, seen_seq) \
             VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE \
             seen_at = GREATEST(seen_at, VALUES(seen_at)), \
             seen_seq = GREATEST(COALESCE(seen_seq, 0), VALUES(seen_seq))",
        )
        .bind(user.0)
        .bind(conversation.raw())
        .bind(mark.at)
        .bind(mark.seen_seq)
        .execute(&mut *self.connection().await?)
        .await?;
        Ok(())
    }
}
