//! How far users have seen conversations.

use chat_core::{ConversationId, UserId, clock};
use time::OffsetDateTime;

use super::{Result, Store};

impl Store {
    /// The mark of a user in a conversation.
    pub async fn read_mark(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<OffsetDateTime>> {
        Ok(sqlx::query_scalar(
            "SELECT seen_at FROM read_marks WHERE user_id = ? AND conversation_id = ?",
        )
        .bind(user.0)
        .bind(conversation.raw())
        .fetch_optional(&mut *self.connection().await?)
        .await?)
    }

    /// Moves the mark forward; one that lies further already stays.
    pub async fn move_read_mark(
        &self,
        user: UserId,
        conversation: ConversationId,
        seen: OffsetDateTime,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO read_marks (user_id, conversation_id, seen_at) VALUES (?, ?, ?) \
             ON DUPLICATE KEY UPDATE seen_at = GREATEST(seen_at, VALUES(seen_at))",
        )
        .bind(user.0)
        .bind(conversation.raw())
        // Cut to what the column holds, which MySQL would round.
        .bind(clock::from_millis(clock::millis(seen)))
        .execute(&mut *self.connection().await?)
        .await?;
        Ok(())
    }
}
