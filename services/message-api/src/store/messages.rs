//! Reading messages: one, or a page of a conversation's.

use chat_core::{
    ChatError, Code, Conversation, ConversationId, Message, MessageId, Seq, model::Span,
};
use time::OffsetDateTime;

use super::{
    Result, Store,
    rows::{ConversationRow, MessageRow, select_conversations, select_messages},
};

/// A conversation, and where in it a page of history begins.
#[derive(Clone, Debug)]
pub struct Opening {
    /// As it stands; the page shows what was posted up to its head.
    pub conversation: Conversation,
    /// When its newest message was posted, if the page need not hold that one.
    pub newest_at: Option<OffsetDateTime>,
    /// Where the message that the span names stands or, if deleted, stood.
    place: Option<Seq>,
}

#[derive(sqlx::FromRow)]
struct OpeningRow {
    #[sqlx(flatten)]
    conversation: ConversationRow,
    place: Option<u64>,
    newest_at: Option<OffsetDateTime>,
}

impl Store {
    /// A message, unless it has been deleted.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>> {
        let row: Option<MessageRow> = sqlx::query_as(select_messages!("WHERE m.id = ?"))
            .bind(id.0)
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.map_or(Ok(None), MessageRow::into_living)
    }

    /// A conversation, and where in it this page begins: one round trip, whatever the page.
    pub async fn opening(&self, id: ConversationId, span: Span) -> Result<Option<Opening>> {
        let named = match span {
            Span::Newest => {
                let found = self.conversation(id).await?;
                return Ok(found.map(|conversation| Opening {
                    conversation,
                    newest_at: None,
                    place: None,
                }));
            }
            Span::Before(message) | Span::After(message) => Some(message.0),
            Span::Offset(_) => None,
        };
        let row: Option<OpeningRow> = sqlx::query_as(select_conversations!(
            ", (SELECT seq FROM messages WHERE id = ? AND conversation_id = ?) AS place, \
             (SELECT created_at FROM messages WHERE conversation_id = ? AND deleted_at IS NULL \
              ORDER BY seq DESC LIMIT 1) AS newest_at",
            "WHERE c.id = ?"
        ))
        .bind(named)
        .bind(id.raw())
        .bind(id.raw())
        .bind(id.raw())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        let Some(OpeningRow { conversation, place, newest_at }) = row else { return Ok(None) };
        let conversation = conversation.into_conversation()?;
        Ok(Some(Opening { conversation, newest_at, place: place.map(Seq) }))
    }

    /// A page of what was posted up to the head, oldest first, deleted ones left out. Fails with
    /// `not_found` if the message that the span names never was there.
    pub async fn history(&self, opening: &Opening, span: Span, limit: u32) -> Result<Vec<Message>> {
        let Conversation { id, head, message_count, .. } = opening.conversation;
        let place = opening.place.ok_or_else(no_such_message);
        let rows = match span {
            Span::Newest => self.newest(id, head.next(), limit, 0).await?,
            Span::Offset(skip) if u64::from(skip) >= message_count => Vec::new(),
            Span::Offset(skip) => self.newest(id, head.next(), limit, skip).await?,
            Span::Before(_) => self.newest(id, place?.min(head.next()), limit, 0).await?,
            Span::After(_) => self.oldest_after(id, place?, head, limit).await?,
        };
        rows.into_iter().map(MessageRow::into_message).collect()
    }

    async fn newest(
        &self,
        conversation: ConversationId,
        before: Seq,
        limit: u32,
        skip: u32,
    ) -> Result<Vec<MessageRow>> {
        let mut rows: Vec<MessageRow> = sqlx::query_as(select_messages!(
            "FORCE INDEX (PRIMARY) \
             WHERE m.conversation_id = ? AND m.seq < ? AND m.deleted_at IS NULL \
             ORDER BY m.seq DESC LIMIT ? OFFSET ?"
        ))
        .bind(conversation.raw())
        .bind(before.0)
        .bind(limit)
        .bind(skip)
        .fetch_all(&mut *self.connection().await?)
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
            "FORCE INDEX (PRIMARY) \
             WHERE m.conversation_id = ? AND m.seq > ? AND m.seq <= ? AND m.deleted_at IS NULL \
             ORDER BY m.seq LIMIT ?"
        ))
        .bind(conversation.raw())
        .bind(after.0)
        .bind(head.0)
        .bind(limit)
        .fetch_all(&mut *self.connection().await?)
        .await?)
    }
}

/// The refusal of a message that is not there, or not for this caller.
pub(crate) fn no_such_message() -> ChatError {
    ChatError::new(Code::NotFound, "there is no such message")
}
