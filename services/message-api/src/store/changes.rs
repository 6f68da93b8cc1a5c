//! The changes of a conversation since a seq, for those who missed them; and heads.

use std::collections::BTreeMap;

use chat_core::{
    Author, Change, ChangeKind, ChatError, Code, ConversationId, MessageId, Seq, User, UserId,
};
use sqlx::{AssertSqlSafe, Row};

use super::{
    Result, Store, StoreError,
    rows::{MessageRow, select_messages, stored_name},
    shapes,
};

/// `changes.kind`.
pub(super) mod kind {
    pub(in crate::store) const EDITED: u8 = 1;
    pub(in crate::store) const DELETED: u8 = 2;
    pub(in crate::store) const READ: u8 = 3;
}

/// A row of `changes` with the message that changed, as it stands now.
#[derive(sqlx::FromRow)]
struct ChangeRow {
    change_seq: u64,
    kind: u8,
    actor_id: u64,
    actor_name: Option<String>,
    #[sqlx(flatten)]
    message: MessageRow,
}

impl Store {
    /// The changes after `since` in order, at most `limit`. Fails with `not_found`.
    ///
    /// The head is read first. Whatever is at or below it was committed before, so the two reads
    /// that follow see all of it, and the page has no hole: it is checked that it has none.
    pub async fn changes(
        &self,
        conversation: ConversationId,
        since: Seq,
        limit: u32,
    ) -> Result<Vec<Change>> {
        let head = self.head(conversation).await?;
        let until = Seq(since.0.saturating_add(limit.into())).min(head);
        self.changes_between(conversation, since, until).await
    }

    /// The changes after `since` up to `until`, which are there.
    pub async fn changes_between(
        &self,
        conversation: ConversationId,
        since: Seq,
        until: Seq,
    ) -> Result<Vec<Change>> {
        if until <= since {
            return Ok(Vec::new());
        }
        let mut page = BTreeMap::new();
        for row in self.posts_between(conversation, since, until).await? {
            page.insert(row.seq, posted(row)?);
        }
        for row in self.others_between(conversation, since, until).await? {
            page.insert(row.change_seq, other(row)?);
        }
        if page.len() as u64 != until.0 - since.0 {
            let found = format!("{} changes of {conversation} in ({since}, {until}]", page.len());
            return Err(ChatError::internal("a conversation has a hole", found).into());
        }
        let change = |(seq, kind)| Change { conversation, seq: Seq(seq), origin: None, kind };
        Ok(page.into_iter().map(change).collect())
    }

    async fn head(&self, conversation: ConversationId) -> Result<Seq> {
        let head: Option<u64> = sqlx::query_scalar("SELECT head FROM conversations WHERE id = ?")
            .bind(conversation.raw())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        head.map(Seq)
            .ok_or_else(|| ChatError::new(Code::NotFound, "there is no such conversation").into())
    }

    async fn posts_between(
        &self,
        conversation: ConversationId,
        since: Seq,
        until: Seq,
    ) -> Result<Vec<MessageRow>> {
        Ok(sqlx::query_as(select_messages!(
            "WHERE m.conversation_id = ? AND m.seq > ? AND m.seq <= ?"
        ))
        .bind(conversation.raw())
        .bind(since.0)
        .bind(until.0)
        .fetch_all(&mut *self.connection().await?)
        .await?)
    }

    async fn others_between(
        &self,
        conversation: ConversationId,
        since: Seq,
        until: Seq,
    ) -> Result<Vec<ChangeRow>> {
        Ok(sqlx::query_as(
            "SELECT c.seq AS change_seq, c.kind, c.actor_id, u.name AS actor_name, \
             m.conversation_id, m.seq, m.id, m.author_id, m.author_name, m.text, m.media, \
             m.created_at, m.edited_at, m.deleted_at, m.read_at, m.client_id, m.via \
             FROM changes c \
             JOIN messages m ON m.conversation_id = c.conversation_id AND m.seq = c.message_seq \
             LEFT JOIN users u ON u.id = c.actor_id \
             WHERE c.conversation_id = ? AND c.seq > ? AND c.seq <= ?",
        )
        .bind(conversation.raw())
        .bind(since.0)
        .bind(until.0)
        .fetch_all(&mut *self.connection().await?)
        .await?)
    }

    /// The heads of those conversations that exist.
    pub async fn heads(&self, ids: &[ConversationId]) -> Result<Vec<(ConversationId, Seq)>> {
        let ids = shapes::padded(ids.to_vec());
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let marks = vec!["?"; ids.len()].join(",");
        let sql = format!("SELECT id, head FROM conversations WHERE id IN ({marks})");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(id.raw());
        }
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        rows.iter()
            .map(|row| {
                Ok((ConversationId::from_raw(row.try_get("id")?), Seq(row.try_get("head")?)))
            })
            .collect()
    }
}

fn posted(row: MessageRow) -> Result<ChangeKind> {
    Ok(row.into_living()?.map_or(ChangeKind::Void, |m| ChangeKind::Posted(Box::new(m))))
}

fn other(row: ChangeRow) -> Result<ChangeKind, StoreError> {
    Ok(match row.kind {
        kind::EDITED => {
            row.message.into_living()?.map_or(ChangeKind::Void, |m| ChangeKind::Edited(Box::new(m)))
        }
        kind::DELETED => ChangeKind::Deleted { message: MessageId(row.message.id) },
        kind::READ => {
            let message = row.message.into_message()?;
            let (Author::User(author), Some(reader)) = (&message.author, &row.actor_name) else {
                return Err(ChatError::internal("a read without its two", message.id).into());
            };
            let reader = User { id: UserId(row.actor_id), name: stored_name(reader)? };
            ChangeKind::Read { message: message.id, author: author.id, reader }
        }
        unknown => return Err(ChatError::internal("unknown kind of change", unknown).into()),
    })
}
