//! What happens to a message after it was posted: edited, deleted, read. Each is a transaction
//! that takes the conversation's next seq.

use async_trait::async_trait;
use chat_core::{ConversationId, Message, MessageText, Seq, User, UserId, clock};
use sqlx::MySqlConnection;

use super::{
    Result, Store,
    changes::kind,
    mentions,
    messages::no_such_message,
    rows::{MessageRow, select_messages},
    transaction::Work,
};

impl Store {
    /// Changes a message's text; what only the former text named is removed. Fails with `not_found` if it has been deleted.
    pub async fn edit(
        &self,
        message: &Message,
        text: &MessageText,
        actor: &User,
    ) -> Result<(Message, Seq)> {
        let (edited, seq, has_doomed) = self.transact(&Edit { message, text, actor }).await?;
        self.tell_doomed(has_doomed);
        Ok((edited, seq))
    }

    /// Empties a message, dooms the files that no other names and marks it deleted; `recipient` is the reader-to-be of a direct. Fails
    /// with `not_found` if it has been deleted already.
    pub async fn delete(
        &self,
        message: &Message,
        recipient: Option<UserId>,
        actor: &User,
    ) -> Result<Seq> {
        let (seq, has_doomed) = self.transact(&Delete { message, recipient, actor }).await?;
        self.tell_doomed(has_doomed);
        Ok(seq)
    }

    /// Marks a direct message as read. `None` if it was read already: then nothing changes.
    pub async fn mark_read(&self, message: &Message, reader: &User) -> Result<Option<Seq>> {
        self.transact(&Read { message, reader }).await
    }
}

struct Edit<'a> {
    message: &'a Message,
    text: &'a MessageText,
    actor: &'a User,
}

#[async_trait]
impl Work for Edit<'_> {
    type Out = (Message, Seq, bool);

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Self::Out> {
        let seq = next_seq(connection, self.message.conversation).await?;
        let mut message = lock(connection, self.message).await?;
        let now = clock::now();
        sqlx::query(
            "UPDATE messages SET text = ?, edited_at = ? WHERE conversation_id = ? AND seq = ?",
        )
        .bind(self.text.as_str())
        .bind(now)
        .bind(message.conversation.raw())
        .bind(message.seq.0)
        .execute(&mut *connection)
        .await?;
        log(connection, kind::EDITED, &message, seq, self.actor).await?;
        let has_doomed = mentions::change(connection, &message, Some(self.text.as_str())).await?;
        message.text = self.text.as_str().to_owned();
        message.edited_at = Some(now);
        Ok((message, seq, has_doomed))
    }
}

struct Delete<'a> {
    message: &'a Message,
    recipient: Option<UserId>,
    actor: &'a User,
}

#[async_trait]
impl Work for Delete<'_> {
    type Out = (Seq, bool);

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Self::Out> {
        let seq = next_seq(connection, self.message.conversation).await?;
        let message = lock(connection, self.message).await?;
        sqlx::query(
            "UPDATE messages SET text = '', media = NULL, deleted_at = ? \
             WHERE conversation_id = ? AND seq = ?",
        )
        .bind(clock::now())
        .bind(message.conversation.raw())
        .bind(message.seq.0)
        .execute(&mut *connection)
        .await?;
        sqlx::query("UPDATE conversations SET message_count = message_count - 1 WHERE id = ?")
            .bind(message.conversation.raw())
            .execute(&mut *connection)
            .await?;
        if let Some(recipient) = self.recipient.filter(|_| !message.is_read) {
            count_one_less(connection, message.conversation, recipient).await?;
        }
        log(connection, kind::DELETED, &message, seq, self.actor).await?;
        let has_doomed = mentions::change(connection, &message, None).await?;
        Ok((seq, has_doomed))
    }
}

struct Read<'a> {
    message: &'a Message,
    reader: &'a User,
}

#[async_trait]
impl Work for Read<'_> {
    type Out = Option<Seq>;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Option<Seq>> {
        let conversation = self.message.conversation;
        // Only the reader and the author (who may delete) write here, so the row's own lock would
        // do; but whoever changes a conversation holds its head first, everywhere alike.
        hold(connection, conversation).await?;
        if lock(connection, self.message).await?.is_read {
            return Ok(None);
        }
        let seq = next_seq(connection, conversation).await?;
        sqlx::query("UPDATE messages SET read_at = ? WHERE conversation_id = ? AND seq = ?")
            .bind(clock::now())
            .bind(conversation.raw())
            .bind(self.message.seq.0)
            .execute(&mut *connection)
            .await?;
        count_one_less(connection, conversation, self.reader.id).await?;
        log(connection, kind::READ, self.message, seq, self.reader).await?;
        Ok(Some(seq))
    }
}

/// Takes the conversation's next seq, and holds the conversation until the end.
async fn next_seq(connection: &mut MySqlConnection, id: ConversationId) -> Result<Seq> {
    let raised =
        sqlx::query("UPDATE conversations SET head = LAST_INSERT_ID(head + 1) WHERE id = ?")
            .bind(id.raw())
            .execute(connection)
            .await?;
    Ok(Seq(raised.last_insert_id()))
}

async fn hold(connection: &mut MySqlConnection, id: ConversationId) -> Result<()> {
    sqlx::query("SELECT id FROM conversations WHERE id = ? FOR UPDATE")
        .bind(id.raw())
        .execute(connection)
        .await?;
    Ok(())
}

/// The message as it stands now that its conversation is held.
async fn lock(connection: &mut MySqlConnection, message: &Message) -> Result<Message> {
    let row: Option<MessageRow> =
        sqlx::query_as(select_messages!("WHERE m.conversation_id = ? AND m.seq = ? FOR UPDATE"))
            .bind(message.conversation.raw())
            .bind(message.seq.0)
            .fetch_optional(connection)
            .await?;
    let living = row.map_or(Ok(None), MessageRow::into_living)?;
    Ok(living.ok_or_else(no_such_message)?)
}

async fn count_one_less(
    connection: &mut MySqlConnection,
    conversation: ConversationId,
    user: UserId,
) -> Result<()> {
    sqlx::query(
        "UPDATE direct_members SET unread = unread - 1 \
         WHERE conversation_id = ? AND user_id = ? AND unread > 0",
    )
    .bind(conversation.raw())
    .bind(user.0)
    .execute(connection)
    .await?;
    Ok(())
}

async fn log(
    connection: &mut MySqlConnection,
    kind: u8,
    message: &Message,
    seq: Seq,
    actor: &User,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO changes (conversation_id, seq, kind, message_seq, actor_id, created_at) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(message.conversation.raw())
    .bind(seq.0)
    .bind(kind)
    .bind(message.seq.0)
    .bind(actor.id.0)
    .bind(clock::now())
    .execute(connection)
    .await?;
    Ok(())
}
