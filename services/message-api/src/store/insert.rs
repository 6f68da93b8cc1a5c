//! The rows of one commit: messages with their ids, and the unread counters.

use std::collections::{BTreeMap, HashMap};

use chat_core::{ChatError, ClientId, ConversationId, Message, MessageId, Seq};
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::{Result, post::Post, rows::media_column};

/// A message on its way into its row.
pub(super) struct New<'a> {
    pub(super) index: usize,
    pub(super) post: &'a Post,
    pub(super) message: Message,
}

/// Stores the rows with one statement and learns their ids.
pub(super) async fn insert<'a>(
    connection: &mut MySqlConnection,
    mut messages: Vec<New<'a>>,
) -> Result<Vec<New<'a>>> {
    if messages.is_empty() {
        return Ok(messages);
    }
    let rows = vec!["(?,?,?,?,?,?,?,?,?)"; messages.len()].join(",");
    let sql = format!(
        "INSERT INTO messages (conversation_id, seq, author_id, author_name, text, media, \
         created_at, client_id, dedup_key) VALUES {rows}"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(messages.len() == 1);
    for New { post, message, .. } in &messages {
        query = query
            .bind(message.conversation.raw())
            .bind(message.seq.0)
            .bind(post.author.user().map(|user| user.id.0))
            .bind(post.author.name().as_str())
            .bind(&post.text)
            .bind(media_column(&post.media))
            .bind(message.created_at)
            .bind(post.client_id.as_ref().map(ClientId::as_str))
            .bind(post.dedup_key().map(|key| key.to_vec()));
    }
    let done = query.execute(&mut *connection).await?;
    if let [only] = messages.as_mut_slice() {
        only.message.id = MessageId(done.last_insert_id());
    } else {
        read_ids(connection, &mut messages).await?;
    }
    Ok(messages)
}

/// The ids of several rows are read back: how they follow one another is the server's business.
async fn read_ids(connection: &mut MySqlConnection, messages: &mut [New<'_>]) -> Result<()> {
    let mut spans = BTreeMap::<ConversationId, (Seq, Seq)>::new();
    for New { message, .. } in &*messages {
        let span = spans.entry(message.conversation).or_insert((message.seq, message.seq));
        *span = (span.0.min(message.seq), span.1.max(message.seq));
    }
    let clause = "(conversation_id = ? AND seq BETWEEN ? AND ?)";
    let sql = format!(
        "SELECT conversation_id, seq, id FROM messages WHERE {}",
        vec![clause; spans.len()].join(" OR ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).persistent(spans.len() == 1);
    for (id, (first, last)) in &spans {
        query = query.bind(id.raw()).bind(first.0).bind(last.0);
    }
    let rows: Vec<(u64, u64, u64)> = query.fetch_all(connection).await?;
    let ids: HashMap<_, _> = rows.into_iter().map(|(c, seq, id)| ((c, seq), id)).collect();
    for New { message, .. } in messages {
        let id = ids.get(&(message.conversation.raw(), message.seq.0));
        let id = id.ok_or_else(|| ChatError::internal("a stored row is not there", message.seq))?;
        message.id = MessageId(*id);
    }
    Ok(())
}

/// One statement raises the counters of all directs.
pub(super) async fn count_unread(
    connection: &mut MySqlConnection,
    messages: &[New<'_>],
) -> Result<()> {
    let mut unread = BTreeMap::<_, u64>::new();
    for New { post, .. } in messages {
        if let Some(recipient) = post.recipient() {
            *unread.entry((post.conversation, recipient)).or_default() += 1;
        }
    }
    if unread.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO direct_members (conversation_id, user_id, unread) VALUES {} \
         ON DUPLICATE KEY UPDATE unread = unread + VALUES(unread)",
        vec!["(?,?,?)"; unread.len()].join(",")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(unread.len() == 1);
    for ((conversation, user), count) in unread {
        query = query.bind(conversation.raw()).bind(user.0).bind(count);
    }
    query.execute(connection).await?;
    Ok(())
}
