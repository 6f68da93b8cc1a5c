//! How many rows the server reads for a page: those of the page, however deep it lies.

use chat_core::{
    ConversationId, MessageId, Seq, User, UserId, Username,
    model::{Peer, Span},
};
use message_api::store::{Store, database};
use sqlx::{AssertSqlSafe, MySqlPool};

use crate::support::{World, username};

/// Of everything there are so many.
const MANY: u64 = 10_000;
const PAGE: u32 = 50;
const ROOM: u64 = 77;

/// A store with one connection, whose counters tell what each of its verbs reads.
struct Counted {
    store: Store,
    pool: MySqlPool,
}

impl Counted {
    async fn of(world: &World) -> Self {
        let pool = database::pool(world.database.clone(), 1);
        let counted = Self { store: Store::new(pool.clone()), pool };
        for statement in filling() {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&counted.pool).await.expect("fills");
        }
        counted
    }

    async fn reads_so_far(&self) -> u64 {
        let counters: Vec<(String, String)> =
            sqlx::query_as("SHOW SESSION STATUS LIKE 'Handler_read%'")
                .fetch_all(&self.pool)
                .await
                .expect("counters");
        counters.iter().map(|(_, count)| count.parse::<u64>().expect("a number")).sum()
    }

    /// Runs a verb that answers so many rows and may read `each` for each of them.
    async fn check<T>(
        &self,
        what: &str,
        rows: usize,
        each: u64,
        verb: impl Future<Output = message_api::store::Result<Vec<T>>>,
    ) {
        let silence = self.reads_so_far().await;
        let before = self.reads_so_far().await;
        let found = verb.await.expect(what).len();
        let after = self.reads_so_far().await;
        let reads = (after - before).saturating_sub(before - silence);
        assert_eq!(found, rows, "{what}");
        assert!(reads <= each * rows as u64 + 10, "{what}: {reads} reads for {rows} rows");
    }

    async fn history(&self, span: Span) -> message_api::store::Result<Vec<MessageId>> {
        let room = ConversationId::from_raw(ROOM);
        let opening = self.store.opening(room, span).await?.expect("the room");
        let page = self.store.history(&opening, span, PAGE).await?;
        Ok(page.into_iter().map(|message| message.id).collect())
    }
}

/// A room with as many messages as edits of them; users, of whom the first half by name is
/// deleted; rooms, half of which were last active at the same moment; directs of the last user.
fn filling() -> Vec<String> {
    let digits = "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 \
                  UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 \
                  UNION ALL SELECT 8 UNION ALL SELECT 9)";
    let numbers = format!(
        "(SELECT 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS n \
         FROM {digits} a, {digits} b, {digits} c, {digits} d) numbers"
    );
    let (half, now) = (MANY / 2, "'2026-01-01'");
    let conversation = "INSERT INTO conversations (id, kind, is_listed, title, title_key, \
                        created_at, head, message_count, last_activity_at)";
    vec![
        format!(
            "INSERT INTO users (id, name, created_at, deleted_at) \
             SELECT n, CONCAT('u', LPAD(n, 6, '0')), {now}, IF(n <= {half}, {now}, NULL) \
             FROM {numbers}"
        ),
        format!(
            "{conversation} SELECT 1000 + n, 1, 1, n, n, {now}, 0, 0, \
             {now} + INTERVAL IF(n <= {half}, 0, n) SECOND FROM {numbers}"
        ),
        format!("{conversation} VALUES ({ROOM}, 1, 1, '', '', {now}, 2 * {MANY}, {MANY}, {now})"),
        format!(
            "INSERT INTO messages (id, conversation_id, seq, author_name, text, created_at) \
             SELECT n, {ROOM}, 2 * n - 1, 'greta', 'hi', {now} FROM {numbers}"
        ),
        format!(
            "INSERT INTO changes (conversation_id, seq, kind, message_seq, actor_id, created_at) \
             SELECT {ROOM}, 2 * n, 1, 2 * n - 1, {MANY}, {now} FROM {numbers}"
        ),
        format!(
            "{conversation} SELECT 1000000 + n, 2, 0, '', NULL, {now}, n % 3, 0, \
             {now} + INTERVAL n SECOND FROM {numbers} WHERE n <= 300"
        ),
        format!("INSERT INTO directs SELECT n, {MANY}, 1000000 + n FROM {numbers} WHERE n <= 300"),
        format!(
            "INSERT INTO direct_members SELECT 1000000 + n, {MANY}, 5 FROM {numbers} \
             WHERE n <= 300"
        ),
    ]
}

#[tokio::test]
async fn a_page_reads_its_own_rows_however_deep_it_lies() {
    let world = World::new().await;
    let counted = Counted::of(&world).await;
    let (page, middle) = (PAGE as usize, MessageId(MANY / 2));
    for (what, span) in [
        ("the newest", Span::Newest),
        ("before the newest", Span::Before(MessageId(MANY))),
        ("before one in the middle", Span::Before(middle)),
        ("after one in the middle", Span::After(middle)),
        ("after the oldest", Span::After(MessageId(1))),
    ] {
        counted.check(what, page, 1, counted.history(span)).await;
    }
    let beyond = Span::Offset(u32::try_from(MANY).expect("fits"));
    counted.check("beyond the oldest", 0, 0, counted.history(beyond)).await;
    for since in [0, MANY, 2 * MANY - 500] {
        let changes = counted.store.changes(ConversationId::from_raw(ROOM), Seq(since), 500);
        counted.check("changes", 500, 2, changes).await;
    }
}

#[tokio::test]
async fn a_list_reads_its_own_rows_wherever_it_begins() {
    let world = World::new().await;
    let counted = Counted::of(&world).await;
    let mut after: Option<String> = None;
    for what in ["the first rooms", "rooms further on", "rooms deep down"] {
        let rooms = async {
            let page = counted.store.rooms(after.as_deref(), PAGE).await?;
            Ok(page.conversations)
        };
        counted.check(what, PAGE as usize, 2, rooms).await;
        let far = counted.store.rooms(after.as_deref(), u32::try_from(MANY / 3).expect("fits"));
        after = far.await.expect("a page").next;
    }
    for after in [None, Some("u000001"), Some("u006000"), Some("u009900")] {
        let after: Option<Username> = after.map(username);
        let users = async { Ok(counted.store.users(after.as_ref(), PAGE).await?.users) };
        counted.check("users", PAGE as usize, 2, users).await;
    }
    // Each of a user's directs, and the two in it.
    let directs = counted.store.directs(UserId(MANY), 1_000);
    counted.check("directs", 300, 12, directs).await;
}

#[tokio::test]
async fn what_is_counted_is_not_counted_by_reading() {
    let world = World::new().await;
    let counted = Counted::of(&world).await;
    let room = ConversationId::from_raw(ROOM);
    let conversation = async {
        let found = counted.store.conversation(room).await?.expect("the room");
        assert_eq!(found.message_count, MANY);
        Ok(vec![found])
    };
    counted.check("a conversation and its count", 1, 0, conversation).await;
    let direct = ConversationId::from_raw(1_000_007);
    let unread = async { Ok(vec![counted.store.unread(direct, UserId(MANY)).await?]) };
    counted.check("what is unread", 1, 0, unread).await;
    let heads = async { counted.store.heads(&[room, direct]).await };
    counted.check("heads", 2, 1, heads).await;
    let user = async {
        let user: User = counted.store.user(&Peer::Name(username("U010000"))).await?;
        Ok(vec![user])
    };
    counted.check("a user", 1, 1, user).await;
}
