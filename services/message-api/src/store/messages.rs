//! Reading messages: one, or a page of a conversation's.

use chat_core::{ChatError, Code, ConversationId, Message, MessageId, Seq, model::Span};

use super::{
    Result, Store,
    rows::{MessageRow, select_messages},
};

impl Store {
    /// A message, unless it has been deleted.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>> {
        let row: Option<MessageRow> = sqlx::query_as(select_messages!("WHERE m.id = ?"))
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await?;
        row.map_or(Ok(None), MessageRow::into_living)
    }

    /// A page of what was posted up to `head`, oldest first, deleted ones left out.
    pub async fn history(
        &self,
        conversation: ConversationId,
        head: Seq,
        span: Span,
        limit: u32,
    ) -> Result<Vec<Message>> {
        let rows = match span {
            Span::Newest => self.newest(conversation, head.next(), limit, 0).await?,
            Span::Offset(skip) => self.newest(conversation, head.next(), limit, skip).await?,
            Span::Before(id) => {
                let place = self.place(conversation, id).await?;
                self.newest(conversation, place.min(head.next()), limit, 0).await?
            }
            Span::After(id) => {
                let place = self.place(conversation, id).await?;
                self.oldest_after(conversation, place, head, limit).await?
            }
        };
        rows.into_iter().map(MessageRow::into_message).collect()
    }

    /// Where in its conversation a message stands or, if deleted, stood.
    async fn place(&self, conversation: ConversationId, id: MessageId) -> Result<Seq> {
        let seq: Option<u64> =
            sqlx::query_scalar("SELECT seq FROM messages WHERE id = ? AND conversation_id = ?")
                .bind(id.0)
                .bind(conversation.raw())
                .fetch_optional(&self.pool)
                .await?;
        seq.map(Seq).ok_or_else(|| no_such_message().into())
    }

    async fn newest(
        &self,
        conversation: ConversationId,
        before: Seq,
        limit: u32,
        skip: u32,
    ) -> Result<Vec<MessageRow>> {
        let mut rows: Vec<MessageRow> = sqlx::query_as(select_messages!(
            "WHERE m.conversation_id = ? AND m.seq < ? AND m.deleted_at IS NULL \
             ORDER BY m.seq DESC LIMIT ? OFFSET ?"
        ))
        .bind(conversation.raw())
        .bind(before.0)
        .bind(limit)
        .bind(skip)
        .fetch_all(&self.pool)
        .await?;
        rows.reverse();
        Ok(rows)
    }

    async fn oldest_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        head: Seq,
        limit: u32,
    ) -> Result<Vec<MessageRow>> {
        Ok(sqlx::query_as(select_messages!(
            "WHERE m.conversation_id = ? AND m.seq > ? AND m.seq <= ? AND m.deleted_at IS NULL \
             ORDER BY m.seq LIMIT ?"
        ))
        .bind(conversation.raw())
        .bind(after.0)
        .bind(head.0)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?)
    }
}

/// The refusal of a message that is not there, or not for this caller.
pub(crate) fn no_such_message() -> ChatError {
    ChatError::new(Code::NotFound, "there is no such message")
}
