//! Conversations: finding them, listing them, making rooms.

use chat_core::{
    ChatError, Code, Conversation, ConversationId, ConversationKind, Seq, Title, User, clock,
    model::ConversationPage,
};
use time::OffsetDateTime;

use super::{
    Result, Store, StoreError,
    rows::{ConversationRow, kind, select_conversations, select_rooms},
};

/// How often a random id may turn out to be taken.
const ATTEMPTS: u32 = 3;

impl Store {
    /// A conversation as it stands.
    pub async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>> {
        let row: Option<ConversationRow> = sqlx::query_as(select_conversations!("WHERE c.id = ?"))
            .bind(id.raw())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        let conversation = row.map(ConversationRow::into_conversation).transpose()?;
        if let Some(conversation) = &conversation {
            self.kinds.learn(id, conversation.kind.clone());
        }
        Ok(conversation)
    }

    /// What kind a conversation is: that never changes, so known ones are not asked for again.
    pub async fn kind(&self, id: ConversationId) -> Result<Option<ConversationKind>> {
        if let Some(kind) = self.kinds.get(&id) {
            return Ok(Some(kind));
        }
        Ok(self.conversation(id).await?.map(|conversation| conversation.kind))
    }

    /// Makes a room. Fails with `name_taken`, also when replicas race.
    pub async fn create_room(&self, title: &Title, creator: &User) -> Result<Conversation> {
        for _ in 0..ATTEMPTS {
            let room = new_room(title, creator);
            match self.insert_room(&room, title).await {
                Ok(()) => return Ok(room),
                Err(error) if error.is_duplicate() => {}
                Err(error) => return Err(error),
            }
            if self.is_title_taken(title).await? {
                return Err(ChatError::new(Code::NameTaken, "a room of that name exists").into());
            }
        }
        Err(ChatError::internal("making a room", "every random id was taken").into())
    }

    async fn insert_room(&self, room: &Conversation, title: &Title) -> Result<()> {
        sqlx::query(
            "INSERT INTO conversations (id, kind, is_listed, title, title_key, created_by, \
             created_at, last_activity_at) VALUES (?, ?, 1, ?, ?, ?, ?, ?)",
        )
        .bind(room.id.raw())
        .bind(kind::ROOM)
        .bind(title.as_str())
        .bind(title.key().into_bytes())
        .bind(room.created_by.as_ref().map(ToString::to_string))
        .bind(room.created_at)
        .bind(room.created_at)
        .execute(&mut *self.connection().await?)
        .await?;
        Ok(())
    }

    async fn is_title_taken(&self, title: &Title) -> Result<bool> {
        let taken: Option<u64> =
            sqlx::query_scalar("SELECT id FROM conversations WHERE title_key = ?")
                .bind(title.key().into_bytes())
                .fetch_optional(&mut *self.connection().await?)
                .await?;
        Ok(taken.is_some())
    }

    /// The lobby and the rooms, newest activity first, after a former page's `next`.
    pub async fn rooms(&self, after: Option<&str>, limit: u32) -> Result<ConversationPage> {
        let after = after.map(Cursor::parse).transpose()?;
        let rows = self.room_rows(after, limit.saturating_add(1)).await?;
        let limit = limit as usize;
        let next = (rows.len() > limit && limit > 0).then(|| Cursor::of(&rows[limit - 1]).write());
        let conversations = rows
            .into_iter()
            .take(limit)
            .map(ConversationRow::into_conversation)
            .collect::<Result<_>>()?;
        Ok(ConversationPage { conversations, next })
    }

    /// By the index of activity, and told so: servers would rather read all rooms that are newer
    /// than the cursor.
    async fn room_rows(&self, after: Option<Cursor>, limit: u32) -> Result<Vec<ConversationRow>> {
        let Some(Cursor { at, id }) = after else {
            return Ok(sqlx::query_as(select_rooms!(
                "FORCE INDEX (conversations_activity) WHERE c.is_listed = 1 \
                 ORDER BY c.last_activity_at DESC, c.id DESC LIMIT ?"
            ))
            .bind(limit)
            .fetch_all(&mut *self.connection().await?)
            .await?);
        };
        Ok(sqlx::query_as(select_rooms!(
            "FORCE INDEX (conversations_activity) WHERE c.is_listed = 1 \
             AND (c.last_activity_at < ? OR (c.last_activity_at = ? AND c.id < ?)) \
             ORDER BY c.last_activity_at DESC, c.id DESC LIMIT ?"
        ))
        .bind(at)
        .bind(at)
        .bind(id)
        .bind(limit)
        .fetch_all(&mut *self.connection().await?)
        .await?)
    }
}

fn new_room(title: &Title, creator: &User) -> Conversation {
    Conversation {
        id: ConversationId::random(),
        kind: ConversationKind::Room,
        title: title.as_str().to_owned(),
        created_by: Some(creator.name.clone()),
        created_at: clock::now(),
        head: Seq::START,
        message_count: 0,
    }
}

/// Where a page of rooms ended.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    at: OffsetDateTime,
    id: u64,
}

impl Cursor {
    fn of(row: &ConversationRow) -> Self {
        Self { at: row.last_activity_at, id: row.id }
    }

    fn write(&self) -> String {
        format!("{:x}-{:x}", clock::millis(self.at), self.id)
    }

    fn parse(raw: &str) -> Result<Self, StoreError> {
        let parsed = raw.split_once('-').and_then(|(at, id)| {
            let at = i64::from_str_radix(at, 16).ok().filter(|ms| *ms >= 0)?;
            Some(Self { at: clock::from_millis(at), id: u64::from_str_radix(id, 16).ok()? })
        });
        parsed.ok_or_else(|| ChatError::invalid_payload("this cursor is not one of ours").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_trip_and_nothing_else_is_one() {
        let cursor = Cursor { at: clock::now(), id: u64::MAX };
        assert_eq!(Cursor::parse(&cursor.write()).expect("parses"), cursor);
        for bad in ["", "-", "1", "x-1", "1-x", "1-2-3", "-1-1"] {
            assert!(Cursor::parse(bad).is_err(), "{bad}");
        }
    }
}
