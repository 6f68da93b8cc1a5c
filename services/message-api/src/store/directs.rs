//! Direct conversations: one per pair of users, whoever starts it and however many replicas race.

use async_trait::async_trait;
use chat_core::{ChatError, Conversation, ConversationId, User, UserId, clock};
use sqlx::MySqlConnection;

use super::{
    Result, Store, StoreError,
    rows::{ConversationRow, kind, select_conversations},
    transaction::Work,
};

impl Store {
    /// The direct between two users, made if there is none.
    pub async fn open_direct(&self, one: &User, other: &User) -> Result<ConversationId> {
        let pair = Pair::of(one.id, other.id);
        if let Some(id) = self.find_direct(pair).await? {
            return Ok(id);
        }
        match self.transact(&NewDirect { pair, creator: one }).await {
            // Somebody else was quicker: theirs is the one.
            Err(error) if error.is_duplicate() => self.find_direct(pair).await?.ok_or_else(|| {
                ChatError::unavailable("opening a direct", "an id was taken").into()
            }),
            made => made,
        }
    }

    async fn find_direct(&self, pair: Pair) -> Result<Option<ConversationId>> {
        let id: Option<u64> = sqlx::query_scalar(
            "SELECT conversation_id FROM directs WHERE low_user = ? AND high_user = ?",
        )
        .bind(pair.low.0)
        .bind(pair.high.0)
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        Ok(id.map(ConversationId::from_raw))
    }

    /// A user's directs, newest activity first, those in which nothing was ever said last. Only
    /// of those that fit are the two users looked up.
    pub async fn directs(&self, user: UserId, limit: u32) -> Result<Vec<Conversation>> {
        let rows: Vec<ConversationRow> = sqlx::query_as(select_conversations!(
            "JOIN (SELECT mine.id FROM direct_members me \
                   JOIN conversations mine ON mine.id = me.conversation_id WHERE me.user_id = ? \
                   ORDER BY mine.head = 0, mine.last_activity_at DESC, mine.id DESC LIMIT ?) newest \
             ON newest.id = c.id \
             ORDER BY c.head = 0, c.last_activity_at DESC, c.id DESC"
        ))
        .bind(user.0)
        .bind(limit)
        .fetch_all(&mut *self.connection().await?)
        .await?;
        rows.into_iter().map(ConversationRow::into_conversation).collect()
    }

    /// How many messages of a direct this user has not read; 0 where nothing is counted.
    pub async fn unread(&self, conversation: ConversationId, user: UserId) -> Result<u64> {
        let count: Option<u64> = sqlx::query_scalar(
            "SELECT unread FROM direct_members WHERE conversation_id = ? AND user_id = ?",
        )
        .bind(conversation.raw())
        .bind(user.0)
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        Ok(count.unwrap_or_default())
    }
}

/// Two users in the order of their ids.
#[derive(Clone, Copy, Debug)]
struct Pair {
    low: UserId,
    high: UserId,
}

impl Pair {
    fn of(one: UserId, other: UserId) -> Self {
        Self { low: one.min(other), high: one.max(other) }
    }
}

struct NewDirect<'a> {
    pair: Pair,
    creator: &'a User,
}

#[async_trait]
impl Work for NewDirect<'_> {
    type Out = ConversationId;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<ConversationId, StoreError> {
        let id = ConversationId::random();
        let Pair { low, high } = self.pair;
        // The pair first: a replica that loses the race waits here, and has stored nothing yet.
        sqlx::query("INSERT INTO directs (low_user, high_user, conversation_id) VALUES (?, ?, ?)")
            .bind(low.0)
            .bind(high.0)
            .bind(id.raw())
            .execute(&mut *connection)
            .await?;
        let now = clock::now();
        sqlx::query(
            "INSERT INTO conversations (id, kind, is_listed, title, title_key, created_by, \
             created_at, last_activity_at) VALUES (?, ?, 0, '', NULL, ?, ?, ?)",
        )
        .bind(id.raw())
        .bind(kind::DIRECT)
        .bind(self.creator.name.as_str())
        .bind(now)
        .bind(now)
        .execute(&mut *connection)
        .await?;
        sqlx::query("INSERT INTO direct_members (conversation_id, user_id) VALUES (?, ?), (?, ?)")
            .bind(id.raw())
            .bind(low.0)
            .bind(id.raw())
            .bind(high.0)
            .execute(connection)
            .await?;
        Ok(id)
    }
}
