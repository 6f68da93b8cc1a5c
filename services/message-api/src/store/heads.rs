//! Seqs for the posts of one commit: the heads of their conversations are raised together.

use std::collections::{BTreeMap, HashMap};

use chat_core::{ConversationId, Seq, clock};
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::{Result, shapes};

/// Raises the head of each conversation by its number of posts, and answers what it was before.
/// Those that do not exist are left out. Conversations are held in the order of their ids, so that
/// two commits never wait for each other.
pub(super) async fn raise_heads(
    connection: &mut MySqlConnection,
    posts: impl Iterator<Item = ConversationId>,
) -> Result<HashMap<ConversationId, Seq>> {
    let mut counts = BTreeMap::<_, u64>::new();
    for id in posts {
        *counts.entry(id).or_default() += 1;
    }
    match counts.first_key_value() {
        Some((&id, &count)) if counts.len() == 1 => raise_one(connection, id, count).await,
        _ => raise_many(connection, counts).await,
    }
}

/// One round trip: what most commits of an idle system need.
async fn raise_one(
    connection: &mut MySqlConnection,
    id: ConversationId,
    count: u64,
) -> Result<HashMap<ConversationId, Seq>> {
    let raised = sqlx::query(
        "UPDATE conversations SET head = LAST_INSERT_ID(head + ?), \
         message_count = message_count + ?, \
         last_activity_at = GREATEST(last_activity_at, ?) WHERE id = ?",
    )
    .bind(count)
    .bind(count)
    .bind(clock::now())
    .bind(id.raw())
    .execute(connection)
    .await?;
    let before = |_| (id, Seq(raised.last_insert_id() - count));
    Ok((raised.rows_affected() == 1).then_some(()).map(before).into_iter().collect())
}

/// One round trip to hold them all, then one for each number of posts: two, mostly.
async fn raise_many(
    connection: &mut MySqlConnection,
    counts: BTreeMap<ConversationId, u64>,
) -> Result<HashMap<ConversationId, Seq>> {
    let ids: Vec<_> = counts.keys().map(|id| id.raw()).collect();
    let before = hold(connection, ids).await?;
    let mut by_count = BTreeMap::<_, Vec<u64>>::new();
    for (id, count) in counts.into_iter().filter(|(id, _)| before.contains_key(id)) {
        by_count.entry(count).or_default().push(id.raw());
    }
    for (count, ids) in by_count {
        raise_by(connection, count, ids).await?;
    }
    Ok(before)
}

/// Holds these conversations until the commit; their heads. The primary key is forced, here and
/// below, lest the server scan, and hold, a small table as a whole.
async fn hold(
    connection: &mut MySqlConnection,
    ids: Vec<u64>,
) -> Result<HashMap<ConversationId, Seq>> {
    let ids = shapes::padded(ids);
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let marks = vec!["?"; ids.len()].join(",");
    let sql = format!(
        "SELECT id, head FROM conversations FORCE INDEX (PRIMARY) WHERE id IN ({marks}) \
         ORDER BY id FOR UPDATE"
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for id in ids {
        query = query.bind(id);
    }
    let rows: Vec<(u64, u64)> = query.fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id, head)| (ConversationId::from_raw(id), Seq(head))).collect())
}

async fn raise_by(connection: &mut MySqlConnection, count: u64, ids: Vec<u64>) -> Result<()> {
    let ids = shapes::padded(ids);
    let marks = vec!["?"; ids.len()].join(",");
    let sql = format!(
        "UPDATE conversations FORCE INDEX (PRIMARY) SET head = head + ?, \
         message_count = message_count + ?, \
         last_activity_at = GREATEST(last_activity_at, ?) WHERE id IN ({marks})"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(count).bind(count).bind(clock::now());
    for id in ids {
        query = query.bind(id);
    }
    query.execute(connection).await?;
    Ok(())
}
