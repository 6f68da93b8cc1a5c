//! What the database holds, read past the services: all of it, however much that is.

use anyhow::{Result, anyhow};
use chat_core::ConversationId;
use harness::Arena;
use sqlx::{Connection, MySqlConnection};

/// A room's messages in order, each as its seq and its text. `room` is the id that 004's clients
/// know.
pub async fn posts(arena: &Arena, room: &str) -> Result<Vec<(u64, String)>> {
    let room: ConversationId = room.parse().map_err(|e| anyhow!("{room} is no room: {e}"))?;
    let mut database = MySqlConnection::connect(arena.stack.urls().database()).await?;
    let rows =
        sqlx::query_as("SELECT seq, text FROM messages WHERE conversation_id = ? ORDER BY seq");
    let posts = rows.bind(room.raw()).fetch_all(&mut database).await?;
    database.close().await?;
    Ok(posts)
}

/// The texts of [`posts`].
pub async fn texts(arena: &Arena, room: &str) -> Result<Vec<String>> {
    Ok(posts(arena, room).await?.into_iter().map(|(_, text)| text).collect())
}
