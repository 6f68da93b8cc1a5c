//! The inbox: which conversations are in it, what is unread there, what was said last.

use std::sync::Arc;

use chat_core::{
    Caller, Chat, Code, ConversationId, Inbox, MessageId,
    inbox::{InboxRow, ROWS_MAX, UNREAD_MAX},
    model::{Peer, Seen},
};
use futures_util::future::join_all;
use message_api::chat::Rules;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::support::{World, guest, refusal, text};

async fn inbox(rules: &Arc<Rules>, who: &Caller) -> Inbox {
    rules.inbox(who, ROWS_MAX, ROWS_MAX).await.expect("an inbox")
}

fn row(rows: &[InboxRow], id: ConversationId) -> &InboxRow {
    rows.iter().find(|row| row.conversation.id == id).expect("it is listed")
}

async fn room(rules: &Arc<Rules>, who: &Caller, id: ConversationId) -> InboxRow {
    row(&inbox(rules, who).await.rooms, id).clone()
}

async fn direct(rules: &Arc<Rules>, who: &Caller, id: ConversationId) -> InboxRow {
    row(&inbox(rules, who).await.directs, id).clone()
}

async fn see(rules: &Arc<Rules>, who: &Caller, id: ConversationId, message: MessageId) {
    rules.mark_seen(who, id, Some(Seen::Message(message))).await.expect("marks");
}

async fn open(rules: &Arc<Rules>, from: &Caller, to: &Caller) -> ConversationId {
    rules.open_direct(from, Peer::Name(to.name().clone())).await.expect("opens").id
}

#[tokio::test]
async fn a_room_counts_what_others_said_after_what_was_seen() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let tea = replica.room(&alice, "tea").await;
    let unread = async |who| room(rules, who, tea).await.unread;

    let first = replica.says(&bob, tea, "one").await;
    let second = replica.says(&bob, tea, "two").await;
    assert_eq!(unread(&alice).await, 0, "she has never had a look");
    see(rules, &alice, tea, first.id).await;
    assert_eq!((unread(&alice).await, unread(&bob).await), (1, 0));
    replica.says(&alice, tea, "mine").await;
    let greta = replica.says(&guest("greta"), tea, "a guest's").await;
    assert_eq!(unread(&alice).await, 2, "her own does not count, a guest's does");
    rules.edit(&bob, second.id, text("to")).await.expect("edits");
    assert_eq!(unread(&alice).await, 2, "an edit is no news");
    rules.delete(&bob, second.id).await.expect("deletes");
    assert_eq!(unread(&alice).await, 1);
    see(rules, &alice, tea, greta.id).await;
    see(rules, &alice, tea, first.id).await;
    assert_eq!(unread(&alice).await, 0, "the mark does not move back");
    // What was deleted meanwhile was seen as well.
    let last = replica.says(&bob, tea, "last").await;
    rules.delete(&bob, last.id).await.expect("deletes");
    see(rules, &alice, tea, last.id).await;
    replica.says(&bob, tea, "news").await;
    assert_eq!((unread(&alice).await, unread(&bob).await), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_millisecond_are_told_apart() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let rules = &replicas[0].rules;
    let (alice, bob) = (replicas[0].user("alice").await, replicas[0].user("bob").await);
    let tea = replicas[0].room(&alice, "tea").await;
    let posts = (0..60).map(|n| replicas[n % 2].tries(&bob, tea, "hi", None));
    let mut posted: Vec<_> =
        join_all(posts).await.into_iter().map(|posted| posted.expect("posts")).collect();
    posted.sort_by_key(|message| message.seq);
    let mut connection = world.database.connect().await.expect("connects");
    connection.execute("UPDATE messages SET created_at = '2025-01-02'").await.expect("one moment");
    for (seen, message) in (1..).zip(&posted) {
        see(rules, &alice, tea, message.id).await;
        assert_eq!(room(&replicas[1].rules, &alice, tea).await.unread, 60 - seen);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_that_race_end_at_the_furthest() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let rules = &replicas[0].rules;
    let (alice, bob) = (replicas[0].user("alice").await, replicas[0].user("bob").await);
    let tea = replicas[0].room(&alice, "tea").await;
    let mut posted = Vec::new();
    for _ in 0..20 {
        posted.push(replicas[0].says(&bob, tea, "hi").await.id);
    }
    let seen = |n: usize| Some(Seen::Message(posted[n * 7 % 20]));
    let marks = (0..20).map(|n| replicas[n % 2].rules.mark_seen(&alice, tea, seen(n)));
    assert!(join_all(marks).await.iter().all(Result::is_ok));
    assert_eq!(room(rules, &alice, tea).await.unread, 0);
}

#[tokio::test]
async fn a_room_counts_to_a_hundred_and_no_further_than_it_is_worth() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let tea = replica.room(&alice, "tea").await;
    let first = replica.says(&bob, tea, "first").await;
    see(rules, &alice, tea, first.id).await;
    for expected in [99, 100, 100] {
        let missing = expected - room(rules, &alice, tea).await.unread;
        for _ in 0..missing.max(1) {
            replica.says(&bob, tea, "hi").await;
        }
        assert_eq!(room(rules, &alice, tea).await.unread, expected);
    }
    assert_eq!(UNREAD_MAX, 100);
    // Far more of her own than is looked through.
    let mut connection = world.database.connect().await.expect("connects");
    let Caller::User(me) = &alice else { panic!("a user") };
    let many = format!(
        "INSERT INTO messages (conversation_id, seq, author_id, author_name, text, created_at) \
         SELECT {0}, 1000 + a.n * 1000 + b.n * 100 + c.n * 10 + d.n, {1}, 'alice', 'mine', NOW(3) \
         FROM (SELECT 1 n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6) a, \
         digits b, digits c, digits d; \
         UPDATE conversations SET head = 7999 WHERE id = {0}",
        tea.raw(),
        me.id.0
    );
    let digits = "CREATE TABLE digits (n INT) AS SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION \
                  SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION \
                  SELECT 8 UNION SELECT 9";
    connection.execute(digits).await.expect("counts");
    connection.execute(AssertSqlSafe(many)).await.expect("posts a lot");
    assert_eq!(room(rules, &alice, tea).await.unread, 0, "older than 5,000 changes");
}

#[tokio::test]
async fn the_last_message_is_one_that_is_there_and_cut_where_a_character_ends() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let tea = replica.room(&alice, "tea").await;
    assert_eq!(room(rules, &alice, tea).await.last, None);
    let long = "\u{1f44b}e\u{301}".repeat(150);
    let first = replica.says(&bob, tea, &long).await;
    let last = room(rules, &alice, tea).await.last.expect("there is one");
    assert_eq!((last.id, &last.author, last.created_at), (first.id, &bob, first.created_at));
    assert_eq!(last.text, long.chars().take(200).collect::<String>());

    let greta = guest("greta");
    let second = replica.says(&greta, tea, "short").await;
    let row = room(rules, &alice, tea).await;
    let last = row.last.expect("there is one");
    assert_eq!((last.id, &last.author, &*last.text), (second.id, &greta, "short"));
    assert_eq!(row.conversation.head, second.seq);

    let third = replica.says(&bob, tea, "gone").await;
    rules.delete(&bob, third.id).await.expect("deletes");
    let row = room(rules, &alice, tea).await;
    assert_eq!(row.last.map(|last| last.id), Some(second.id));
    assert_eq!(row.conversation.head.0, third.seq.0 + 1, "the deletion is a change");
    rules.edit(&bob, first.id, text("edited")).await.expect("edits");
    assert_eq!(room(rules, &alice, tea).await.last.map(|last| last.id), Some(second.id));
}

#[tokio::test]
async fn directs_are_the_users_own_with_their_unread_newest_first() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let carol = replica.user("carol").await;
    let silent = open(rules, &alice, &carol).await;
    let theirs = open(rules, &alice, &bob).await;
    let said = replica.says(&bob, theirs, "hi").await;
    replica.says(&bob, theirs, "ho").await;

    let of_alice = inbox(rules, &alice).await.directs;
    let ids: Vec<_> = of_alice.iter().map(|row| row.conversation.id).collect();
    assert_eq!(ids, [theirs, silent]);
    assert_eq!(of_alice[0].conversation, rules.conversation(&alice, theirs).await.expect("there"));
    assert_eq!((of_alice[0].unread, of_alice[1].unread), (2, 0));
    assert_eq!(
        (of_alice[0].last.as_ref().map(|last| &*last.text), &of_alice[1].last),
        (Some("ho"), &None)
    );
    rules.mark_read(&alice, said.id).await.expect("reads");
    assert_eq!(direct(rules, &alice, theirs).await.unread, 1);
    assert_eq!(direct(rules, &bob, theirs).await.unread, 0);
    let of_carol = inbox(rules, &carol).await.directs;
    assert_eq!(of_carol.len(), 1);
    assert_eq!(of_carol[0].conversation.id, silent);
    assert_eq!(rules.inbox(&alice, 1, 1).await.expect("an inbox").directs.len(), 1);
}

#[tokio::test]
async fn marks_are_of_the_rooms_own_messages_and_of_users() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let carol = replica.user("carol").await;
    let (tea, coffee) = (replica.room(&alice, "tea").await, replica.room(&alice, "coffee").await);
    let elsewhere = replica.says(&bob, coffee, "hi").await.id;
    let theirs = open(rules, &alice, &bob).await;
    let private = replica.says(&bob, theirs, "hi").await.id;
    let mark = async |who, at, id| rules.mark_seen(who, at, Some(Seen::Message(id))).await;

    for id in [elsewhere, private, MessageId(1 << 40)] {
        assert_eq!(refusal(mark(&alice, tea, id).await), Code::NotFound);
    }
    assert_eq!(refusal(mark(&carol, theirs, private).await), Code::NotFound, "not hers");
    let nowhere = ConversationId::random();
    assert_eq!(refusal(mark(&alice, nowhere, private).await), Code::NotFound);
    let refused = mark(&alice, theirs, private).await.expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidPayload);
    assert!(refused.message().contains("read-chat"), "{}", refused.message());
    assert_eq!(direct(rules, &alice, theirs).await.unread, 1);

    let greta = guest("greta");
    assert_eq!(refusal(rules.inbox(&greta, 10, 10).await), Code::Unauthorised);
    assert_eq!(mark(&greta, coffee, elsewhere).await, Ok(None), "guests have no marks");
    rules.delete_account(bob.user().expect("a user")).await.expect("deletes");
    let of_alice = inbox(rules, &alice).await;
    assert_eq!(row(&of_alice.rooms, coffee).last.as_ref().map(|last| &last.author), Some(&bob));
    assert_eq!(of_alice.directs.len(), 1, "what was said stays");
}

#[tokio::test]
async fn a_mark_by_time_is_one_by_place_as_well() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let tea = replica.room(&alice, "tea").await;
    let mut posted = Vec::new();
    for second in 0..5 {
        posted.push(replica.says(&bob, tea, "hi").await);
        let mut connection = world.database.connect().await.expect("connects");
        let at = format!(
            "UPDATE messages SET created_at = '2025-01-02 11:00:0{second}' WHERE id = {}",
            posted[second].id
        );
        connection.execute(AssertSqlSafe(at)).await.expect("moves it in time");
    }
    let at = |second: i64| {
        time::macros::datetime!(2025-01-02 11:00 UTC) + time::Duration::seconds(second)
    };
    let mut former = None;
    for (second, unread) in [(-1, 5), (1, 3), (0, 3), (3, 1)] {
        let told = rules.mark_seen(&alice, tea, Some(Seen::At(at(second)))).await.expect("marks");
        assert_eq!(told, former);
        former = former.max(Some(at(second)));
        assert_eq!(room(rules, &alice, tea).await.unread, unread, "seen until {second}");
    }
    see(rules, &alice, tea, posted[2].id).await;
    assert_eq!(rules.mark_seen(&alice, tea, None).await, Ok(former), "it is further already");
    see(rules, &alice, tea, posted[4].id).await;
    assert_eq!(rules.mark_seen(&alice, tea, None).await, Ok(Some(at(4))));
    assert_eq!(room(rules, &alice, tea).await.unread, 0);
    // In a room where nothing was said yet.
    let coffee = replica.room(&alice, "coffee").await;
    rules.mark_seen(&alice, coffee, Some(Seen::At(at(0)))).await.expect("marks");
    replica.says(&bob, coffee, "hi").await;
    assert_eq!(room(rules, &alice, coffee).await.unread, 1);
}

#[tokio::test]
async fn the_lobby_is_among_any_number_of_rooms() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let mut connection = world.database.connect().await.expect("connects");
    for n in 0..230 {
        let id = replica.room(&alice, &format!("room {n}")).await;
        let age = format!(
            "UPDATE conversations SET last_activity_at = '2100-01-01' - INTERVAL {n} SECOND WHERE id = {}",
            id.raw()
        );
        connection.execute(AssertSqlSafe(age)).await.expect("ages");
    }
    let hello = replica.says(&bob, ConversationId::LOBBY, "hello").await;
    for (asked, listed) in [(0, 1), (1, 1), (2, 2), (100, 100), (200, 200), (5_000, 200)] {
        let rooms = rules.inbox(&alice, asked, 1).await.expect("an inbox").rooms;
        assert_eq!(rooms.len(), listed, "{asked} asked for");
        let (lobby, others) = rooms.split_last().expect("rooms");
        assert_eq!(lobby.conversation.id, ConversationId::LOBBY);
        assert_eq!(lobby.last.as_ref().map(|last| last.id), Some(hello.id));
        let titles: Vec<_> = others.iter().map(|row| row.conversation.title.clone()).collect();
        let expected: Vec<_> = (0..listed - 1).map(|n| format!("room {n}")).collect();
        assert_eq!(titles, expected, "newest activity first");
    }
    connection
        .execute("UPDATE conversations SET last_activity_at = '2100-01-02' WHERE id = 1")
        .await
        .expect("newest");
    let rooms = rules.inbox(&alice, 2, 1).await.expect("an inbox").rooms;
    assert_eq!((rooms.len(), rooms[0].conversation.id), (2, ConversationId::LOBBY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_true_as_of_its_head_while_people_post_and_delete() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let rules = &replicas[0].rules;
    let (alice, bob) = (replicas[0].user("alice").await, replicas[0].user("bob").await);
    let tea = replicas[0].room(&alice, "tea").await;
    let first = replicas[0].says(&bob, tea, "first").await;
    see(rules, &alice, tea, first.id).await;
    let talk = async {
        for _ in 0..15 {
            let said = replicas[0].says(&bob, tea, "hi").await;
            replicas[0].says(&bob, tea, "ho").await;
            rules.delete(&bob, said.id).await.expect("deletes");
        }
    };
    let look = async {
        let mut rows = Vec::new();
        while rows.last().is_none_or(|row: &InboxRow| row.conversation.head.0 < 46) {
            rows.push(room(&replicas[1].rules, &alice, tea).await);
        }
        rows
    };
    let ((), rows) = tokio::join!(talk, look);
    for row in rows {
        // The first, then three changes a round: one more, another more, one less.
        let head = row.conversation.head.0;
        let (rounds, step) = ((head - 1) / 3, (head - 1) % 3);
        assert_eq!(row.unread, rounds + step, "as of {head}");
        assert_eq!(row.conversation.message_count, 1 + rounds + step, "as of {head}");
        let last = if step == 1 || rounds == 0 && step == 0 { None } else { Some("ho") };
        let text = row.last.map(|last| last.text);
        assert!(last.is_none_or(|last| text.as_deref() == Some(last)), "as of {head}: {text:?}");
    }
}
