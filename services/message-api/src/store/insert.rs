//! The rows of one commit: messages with their ids, and the unread counters.

use std::collections::{BTreeMap, HashMap};

use chat_core::{ChatError, ClientId, ConversationId, Message, MessageId, Seq};
use sqlx::{AssertSqlSafe, MySql, MySqlConnection, mysql::MySqlArguments, query::Query};

use super::{
    Result,
    post::Post,
    rows::{media_column, via_column},
    shapes,
};

/// A message on its way into its row.
pub(super) struct New<'a> {
    pub(super) index: usize,
    pub(super) post: &'a Post,
    pub(super) message: Message,
}

/// Stores the rows with few statements and learns their ids.
pub(super) async fn insert<'a>(
    connection: &mut MySqlConnection,
    mut messages: Vec<New<'a>>,
) -> Result<Vec<New<'a>>> {
    let mut last = MessageId(0);
    for rows in shapes::few(&messages) {
        last = insert_rows(connection, rows).await?;
    }
    match messages.as_mut_slice() {
        [] => {}
        [only] => only.message.id = last,
        _ => read_ids(connection, &mut messages).await?,
    }
    Ok(messages)
}

/// Answers the id that the first row got.
async fn insert_rows(connection: &mut MySqlConnection, messages: &[New<'_>]) -> Result<MessageId> {
    Ok(MessageId(rows(messages).execute(connection).await?.last_insert_id()))
}

/// One statement for all of them.
pub(super) fn rows<'a>(messages: &'a [New<'_>]) -> Query<'a, MySql, MySqlArguments> {
    let rows = vec!["(?,?,?,?,?,?,?,?,?,?)"; messages.len()].join(",");
    let sql = format!(
        "INSERT INTO messages (conversation_id, seq, author_id, author_name, text, media, \
         created_at, client_id, dedup_key, via) VALUES {rows}"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for New { post, message, .. } in messages {
        query = query
            .bind(message.conversation.raw())
            .bind(message.seq.0)
            .bind(post.author.user().map(|user| user.id.0))
            .bind(post.author.name().as_str())
            .bind(&post.text)
            .bind(media_column(&post.media))
            .bind(message.created_at)
            .bind(post.client_id.as_ref().map(ClientId::as_str))
            .bind(post.dedup_key().map(|key| key.to_vec()))
            .bind(via_column(post.via));
    }
    query
}

/// The ids of several rows are read back: how they follow one another is the server's business.
async fn read_ids(connection: &mut MySqlConnection, messages: &mut [New<'_>]) -> Result<()> {
    let mut spans = BTreeMap::<ConversationId, (Seq, Seq)>::new();
    for New { message, .. } in &*messages {
        let span = spans.entry(message.conversation).or_insert((message.seq, message.seq));
        *span = (span.0.min(message.seq), span.1.max(message.seq));
    }
    let spans = shapes::padded(spans.into_iter().collect());
    let clause = "(conversation_id = ? AND seq BETWEEN ? AND ?)";
    let sql = format!(
        "SELECT conversation_id, seq, id FROM messages WHERE {}",
        vec![clause; spans.len()].join(" OR ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
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

/// Few statements raise the counters of all directs.
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
    let unread: Vec<_> = unread.into_iter().collect();
    for rows in shapes::few(&unread) {
        let sql = format!(
            "INSERT INTO direct_members (conversation_id, user_id, unread) VALUES {} \
             ON DUPLICATE KEY UPDATE unread = unread + VALUES(unread)",
            vec!["(?,?,?)"; rows.len()].join(",")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for ((conversation, user), count) in rows {
            query = query.bind(conversation.raw()).bind(user.0).bind(*count);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
