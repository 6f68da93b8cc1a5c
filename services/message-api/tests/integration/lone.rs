//! A post that is alone in its commit: what is refused or repeated takes no seq, and its locks are
//! taken in everybody's order.

use std::{sync::Arc, time::Duration};

use chat_core::{Chat, Code, ConversationId, Seq};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection};
use tokio::{task::JoinSet, time::sleep};

use crate::support::{World, guest, new_message, refusal, seqs_to};

async fn run(connection: &mut MySqlConnection, statement: &str) {
    connection.execute(AssertSqlSafe(statement.to_owned())).await.expect("runs");
}

#[tokio::test]
async fn what_is_refused_or_repeated_takes_no_seq() {
    let world = World::new().await;
    let (replica, other) = (world.replica(), world.replica());
    let alice = replica.user("alice").await;
    let room = replica.room(&alice, "room").await;
    let (mallory, carol) = (replica.user("mallory").await, guest("carol"));
    replica.says(&mallory, room, "1").await;
    replica.says(&carol, room, "2").await;
    let first = replica.tries(&alice, room, "3", Some("key")).await.expect("posts");

    let again = replica.tries(&alice, room, "3", Some("key")).await;
    assert_eq!(again.as_ref(), Ok(&first));
    // What another replica does, this one believes not to be so for a moment.
    other.rules.delete_account(mallory.user().expect("a user")).await.expect("deletes");
    other.user("carol").await;
    let gone = replica.tries(&mallory, room, "a ghost", None).await;
    assert_eq!(refusal(gone), Code::Unauthorised);
    assert_eq!(refusal(replica.tries(&carol, room, "hi", None).await), Code::UsernameTaken);

    replica.says(&alice, room, "4").await;
    replica.says(&guest("dave"), room, "5").await;
    assert_eq!(replica.texts(&alice, room).await, ["1", "2", "3", "4", "5"]);
    let seqs: Vec<_> = replica.all_changes(room, 500).await.iter().map(|c| c.seq).collect();
    assert_eq!(seqs, seqs_to(5));
    let stands = replica.rules.conversation(&alice, room).await.expect("the room");
    assert_eq!((stands.head.0, stands.message_count), (5, 5));
}

#[tokio::test]
async fn a_conversation_that_vanished_is_not_found() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let room = replica.room(&alice, "room").await;
    replica.says(&alice, room, "hi").await;
    let mut database = world.database.connect().await.expect("connects");
    run(&mut database, &format!("DELETE FROM conversations WHERE id = {}", room.raw())).await;
    assert_eq!(refusal(replica.tries(&alice, room, "hi", None).await), Code::NotFound);
    replica.says(&alice, ConversationId::LOBBY, "hi").await;
    database.close().await.expect("closes");
}

/// Users come before conversations: whoever waits for its author holds no conversation yet.
#[tokio::test]
async fn a_post_that_waits_for_its_author_does_not_hold_the_conversation() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let room = replica.room(&alice, "room").await;
    replica.says(&alice, room, "first").await;
    let mut deletion = world.database.connect().await.expect("connects");
    let mut other = world.database.connect().await.expect("connects");
    run(&mut deletion, "BEGIN; UPDATE users SET deleted_at = '2026-01-01' WHERE name = 'alice'")
        .await;
    let (rules, author) = (Arc::clone(&replica.rules), alice.clone());
    let mut waiting = JoinSet::new();
    waiting
        .spawn(async move { rules.post(&author, new_message(room, "second", None), None).await });
    let id = room.raw();
    let waits = format!(
        "SELECT COUNT(*) FROM information_schema.innodb_trx \
         WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%{id}%'"
    );
    let mut count = 0_i64;
    while count == 0 {
        assert!(waiting.try_join_next().is_none(), "it did not wait for its author");
        // What the table tells is not renewed while it is read more often than each 100 ms.
        sleep(Duration::from_millis(150)).await;
        let asked = sqlx::query_scalar(AssertSqlSafe(waits.clone())).fetch_one(&mut other);
        count = asked.await.expect("counts");
    }
    let held = format!(
        "BEGIN; SELECT head FROM conversations WHERE id = {id} FOR UPDATE NOWAIT; ROLLBACK"
    );
    run(&mut other, &held).await;
    run(&mut deletion, "ROLLBACK").await;
    let posted = waiting.join_next().await.expect("one waits").expect("ends").expect("posts");
    assert_eq!(posted.seq, Seq(2));
    for connection in [deletion, other] {
        connection.close().await.expect("closes");
    }
}
