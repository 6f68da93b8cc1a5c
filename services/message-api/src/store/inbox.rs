//! Somebody's inbox, read from one snapshot in two round trips: the rooms and directs with what was
//! said last, then what is unread in the rooms.

use std::collections::HashMap;

use async_trait::async_trait;
use chat_core::{
    Author, Inbox, MessageId, User, UserId,
    inbox::{InboxRow, LastMessage, PREVIEW_MAX, UNREAD_MAX},
};
use sqlx::MySqlConnection;
use time::OffsetDateTime;

use super::{
    Result, Store, StoreError,
    rows::{ConversationRow, stored_name},
    script::Script,
    transaction::Transaction,
};

/// How many of a room's newest changes the unread are looked for in: what its reader posted there
/// without having a look is not read through for ever.
const LOOKED_THROUGH: u64 = 5_000;

/// The conversation's newest message that is there, by the primary key backwards.
const LAST_SEQ: &str = "(SELECT n.seq FROM messages n FORCE INDEX (PRIMARY) \
     WHERE n.conversation_id = x.id AND n.deleted_at IS NULL ORDER BY n.seq DESC LIMIT 1) AS last_seq";

/// The columns of a [`Row`] that both lists have.
const COLUMNS: &str = "c.id, c.kind, c.title, c.created_by, c.created_at, c.head, \
     c.message_count, c.last_activity_at, l.id AS last_id, l.author_id AS last_author_id, \
     l.author_name AS last_author_name, l.created_at AS last_at";

const LAST: &str = "LEFT JOIN messages l ON l.conversation_id = c.id AND l.seq = c.last_seq";

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    conversation: ConversationRow,
    last_id: Option<u64>,
    last_author_id: Option<u64>,
    last_author_name: Option<String>,
    last_text: Option<String>,
    last_at: Option<OffsetDateTime>,
    /// Rooms: how far they were seen; NULL if they never were.
    #[sqlx(default)]
    seen_seq: Option<u64>,
    /// Rooms: is there a mark, of whatever age?
    #[sqlx(default)]
    is_seen: bool,
    /// Directs: what is unread.
    #[sqlx(default)]
    unread: u64,
}

impl Row {
    fn into_inbox_row(self, unread: u64) -> Result<InboxRow> {
        let named = self.last_author_name.as_deref().map(stored_name).transpose()?;
        let last = match (self.last_id, named, self.last_text, self.last_at) {
            (Some(id), Some(name), Some(text), Some(created_at)) => {
                let author = match self.last_author_id {
                    Some(id) => Author::User(User { id: UserId(id), name }),
                    None => Author::Guest(name),
                };
                Some(LastMessage { id: MessageId(id), author, text, created_at })
            }
            _ => None,
        };
        let seen = self.is_seen;
        Ok(InboxRow { conversation: self.conversation.into_conversation()?, unread, seen, last })
    }
}

/// Numbers that the server makes up are signed.
#[derive(sqlx::FromRow)]
struct Count {
    id: i64,
    unread: i64,
}

impl Store {
    /// The rooms, the lobby among them, and the directs of a user, at most so many of each.
    pub async fn inbox(&self, user: UserId, rooms: u32, directs: u32) -> Result<Inbox> {
        self.transact(&Look { user, rooms, directs }).await
    }
}

struct Look {
    user: UserId,
    rooms: u32,
    directs: u32,
}

#[async_trait]
impl Transaction for Look {
    type Out = Inbox;

    async fn commit(&self, connection: &mut MySqlConnection) -> Result<Inbox> {
        let mut lists = Script::default();
        lists.add("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
        lists.add("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
        let (rooms, directs) = (lists.add(self.rooms()), lists.add(self.directs()));
        let lists = lists.run(connection).await?;
        let mut rooms: Vec<Row> = lists.rows(rooms)?;
        self.cut(&mut rooms);

        let mut counts = Script::default();
        let counted = self.unread(&rooms).map(|statement| counts.add(statement));
        counts.add("COMMIT");
        let counts = counts.run(connection).await?;
        let counts: Vec<Count> =
            counted.map(|place| counts.rows(place)).transpose()?.unwrap_or_default();
        let mut unread: HashMap<u64, u64> = counts
            .iter()
            .map(|count| (count.id.unsigned_abs(), count.unread.unsigned_abs()))
            .collect();

        let room = |row: Row| {
            let unread = unread.remove(&row.conversation.id).unwrap_or_default();
            row.into_inbox_row(unread)
        };
        let direct = |row: Row| {
            let unread = row.unread;
            row.into_inbox_row(unread)
        };
        Ok(Inbox {
            rooms: rooms.into_iter().map(room).collect::<Result<_>>()?,
            directs: lists.rows(directs)?.into_iter().map(direct).collect::<Result<_>>()?,
        })
    }

    fn worth_repeating(&self, error: &StoreError) -> bool {
        error.is_contention()
    }
}

impl Look {
    fn rooms(&self) -> String {
        let Self { user: UserId(user), rooms, .. } = self;
        format!(
            "SELECT {COLUMNS}, LEFT(l.text, {PREVIEW_MAX}) AS last_text, c.seen_seq, c.is_seen \
             FROM (SELECT x.*, r.seen_seq, r.user_id IS NOT NULL AS is_seen, {LAST_SEQ} FROM (\
             (SELECT * FROM conversations FORCE INDEX (conversations_activity) \
              WHERE is_listed = 1 ORDER BY last_activity_at DESC, id DESC LIMIT {rooms}) \
             UNION (SELECT * FROM conversations WHERE id = {LOBBY})) x \
             LEFT JOIN read_marks r ON r.user_id = {user} AND r.conversation_id = x.id) c {LAST} \
             ORDER BY c.last_activity_at DESC, c.id DESC"
        )
    }

    fn directs(&self) -> String {
        let Self { user: UserId(user), directs, .. } = self;
        format!(
            "SELECT {COLUMNS}, LEFT(l.text, {PREVIEW_MAX}) AS last_text, c.unread, \
             low.id AS low_id, low.name AS low_name, high.id AS high_id, high.name AS high_name \
             FROM (SELECT x.*, {LAST_SEQ} FROM (\
             SELECT mine.*, me.unread FROM direct_members me \
             JOIN conversations mine ON mine.id = me.conversation_id WHERE me.user_id = {user} \
             ORDER BY mine.head = 0, mine.last_activity_at DESC, mine.id DESC \
             LIMIT {directs}) x) c \
             JOIN directs d ON d.conversation_id = c.id \
             JOIN users low ON low.id = d.low_user JOIN users high ON high.id = d.high_user {LAST} \
             ORDER BY c.head = 0, c.last_activity_at DESC, c.id DESC"
        )
    }

    /// The lobby comes beside those asked for, unless it is one of them: the last but it goes.
    fn cut(&self, rooms: &mut Vec<Row>) {
        if rooms.len() > self.rooms as usize
            && let Some(last) = rooms.iter().rposition(|row| row.conversation.id != LOBBY)
        {
            rooms.remove(last);
        }
    }

    /// Counts in each room where something happened since it was seen, and no further than it is
    /// told; `None` where nothing did.
    fn unread(&self, rooms: &[Row]) -> Option<String> {
        let UserId(user) = self.user;
        let mut counts = Vec::new();
        for Row { conversation: ConversationRow { id, head, .. }, seen_seq, .. } in rooms {
            let Some(seen) = seen_seq.filter(|seen| seen < head) else { continue };
            let after = seen.max(head.saturating_sub(LOOKED_THROUGH));
            counts.push(format!(
                "SELECT {id} AS id, COUNT(*) AS unread FROM (SELECT 1 FROM messages \
                 FORCE INDEX (PRIMARY) WHERE conversation_id = {id} AND seq > {after} \
                 AND deleted_at IS NULL AND (author_id IS NULL OR author_id <> {user}) \
                 LIMIT {UNREAD_MAX}) news"
            ));
        }
        (!counts.is_empty()).then(|| counts.join(" UNION ALL "))
    }
}

/// The lobby's id, as stored.
const LOBBY: u64 = chat_core::ConversationId::LOBBY.raw();
