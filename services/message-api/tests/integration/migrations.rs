//! The schema, brought up to date by replicas that start at once.

use chat_core::{Chat, ConversationId, ConversationKind};
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
