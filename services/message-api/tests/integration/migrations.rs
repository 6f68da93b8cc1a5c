//! The schema, brought up to date by replicas that start at once.

use chat_core::{Chat, ConversationId, ConversationKind, clock, model::Seen};
use futures_util::future::join_all;
use message_api::store::migrate::migrate;
use sqlx::{ConnectOptions, Executor};

use crate::support::{World, guest};

async fn lobby_is_there(world: &World) {
    let replica = world.replica();
    let lobby = replica.rules.conversation(&guest("greta"), ConversationId::LOBBY).await;
    let lobby = lobby.expect("the lobby");
    assert_eq!((lobby.kind, lobby.title.as_str()), (ConversationKind::Lobby, "Lobby"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_replicas_may_migrate_an_absent_database_at_once() {
    let world = World::empty();
    let outcomes = join_all((0..4).map(|_| migrate(&world.database))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    migrate(&world.database).await.expect("once more changes nothing");
    lobby_is_there(&world).await;
}

#[tokio::test]
async fn a_migration_that_was_killed_half_way_is_taken_up_again() {
    let world = World::new().await;
    let mut connection = world.database.connect().await.expect("connects");
    let interrupted = "UPDATE _sqlx_migrations SET success = FALSE WHERE version = 7; \
                       DROP TABLE changes";
    connection.execute(interrupted).await.expect("interrupts");
    // Done, but killed before that was noted.
    let all = "UPDATE _sqlx_migrations SET success = FALSE WHERE version > 7";
    connection.execute(all).await.expect("interrupts");
    migrate(&world.database).await.expect("migrates");
    lobby_is_there(&world).await;
}

#[tokio::test]
async fn who_had_a_mark_before_marks_had_places_has_seen_what_was_there() {
    let world = World::new().await;
    let replica = world.replica();
    let (alice, lobby) = (replica.user("alice").await, ConversationId::LOBBY);
    replica.says(&guest("greta"), lobby, "hi").await;
    replica.rules.mark_seen(&alice, lobby, Some(Seen::At(clock::now()))).await.expect("marks");
    let mut connection = world.database.connect().await.expect("connects");
    let before = "ALTER TABLE read_marks DROP COLUMN seen_seq; \
                  DELETE FROM _sqlx_migrations WHERE version >= 15";
    connection.execute(before).await.expect("goes back");
    migrate(&world.database).await.expect("migrates");
    let unread = async || {
        let inbox = replica.rules.inbox(&alice, 1, 1).await.expect("an inbox");
        inbox.rooms[0].unread
    };
    assert_eq!(unread().await, 0);
    replica.says(&guest("greta"), lobby, "ho").await;
    assert_eq!(unread().await, 1);
    // What an older replica stores while a newer one is rolled out: a time without a place.
    connection.execute("UPDATE read_marks SET seen_seq = NULL").await.expect("forgets the place");
    assert_eq!(unread().await, 0);
    let seen = replica.says(&guest("greta"), lobby, "ha").await.id;
    replica.rules.mark_seen(&alice, lobby, Some(Seen::Message(seen))).await.expect("marks");
    replica.says(&guest("greta"), lobby, "he").await;
    assert_eq!(unread().await, 1);
}
