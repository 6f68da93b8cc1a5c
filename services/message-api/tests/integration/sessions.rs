//! Sessions in Redis: all of a user's end, whatever has become of their list.

use std::{cell::RefCell, time::Duration};

use chat_core::{ChatError, SessionId, User, UserId};
use message_api::sessions::{Begun, Sessions};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use redis_link::Redis;
use tokio::time::Instant;

use crate::support::{TTL, World, username};

fn alice() -> User {
    User { id: UserId(1), name: username("alice") }
}

async fn begin(sessions: &Sessions) -> Begun {
    sessions.begin(&alice(), |_| {}).await.expect("begins")
}

async fn lives(sessions: &Sessions, begun: &Begun) -> bool {
    let id = &begun.session.id;
    // First without use: that would take away what is dead.
    let living = sessions.living(vec![id.clone()]).await.expect("answers");
    let touched = sessions.touch(id.clone()).await.expect("answers");
    assert_eq!(living.len(), usize::from(touched.is_some()), "they agree");
    touched.is_some()
}

/// Ends all of them; who was told.
async fn end_all(sessions: &Sessions) -> Vec<SessionId> {
    let told = RefCell::new(Vec::new());
    sessions.end_all(UserId(1), None, |id| told.borrow_mut().push(id.clone())).await.expect("ends");
    told.into_inner()
}

async fn redis(world: &World) -> MultiplexedConnection {
    let client = redis::Client::open(&*world.redis_url).expect("REDIS_URL");
    client.get_multiplexed_async_connection().await.expect("connects")
}

fn key(world: &World, name: &str) -> String {
    let redis = Redis::single(&world.redis_url, &world.prefix).expect("REDIS_URL");
    redis.lane_of_key(name).key(name)
}

#[tokio::test]
async fn a_session_of_a_longer_setting_ends_with_the_others() {
    let world = World::empty();
    let long = world.sessions(TTL);
    let short = world.sessions(Duration::from_secs(1));
    let (old, own) = (begin(&long).await, begin(&short).await);
    assert!(lives(&short, &own).await);
    let until = Instant::now() + Duration::from_secs(20);
    while !short.living(vec![own.session.id.clone()]).await.expect("answers").is_empty() {
        assert!(Instant::now() < until, "it expires");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(lives(&long, &old).await, "it has not been used up");
    let new = begin(&short).await;
    let told = end_all(&short).await;
    for begun in [&old, &new] {
        assert!(told.contains(&begun.session.id) && !lives(&long, begun).await);
    }
}

#[tokio::test]
async fn a_list_lives_as_long_as_what_was_used_last() {
    let world = World::empty();
    let (long, short) = (world.sessions(TTL), world.sessions(Duration::from_secs(2)));
    let begun = begin(&short).await;
    let mut redis = redis(&world).await;
    let mut lasts = async || {
        let [list, record] = [
            key(&world, "user-sessions:1"),
            key(&world, &format!("session:{}", begun.session.id.as_str())),
        ];
        let record: i64 = redis.pttl(record).await.expect("a time");
        let list: i64 = redis.pttl(list).await.expect("a time");
        assert!(list >= record, "{list} {record}");
        list
    };
    assert!(lasts().await <= 2_000);
    assert!(lives(&long, &begun).await);
    assert!(lasts().await > 50_000);
    assert!(lives(&short, &begun).await);
    assert!(lasts().await > 50_000, "it only grows");
}

#[tokio::test]
async fn what_is_in_no_list_is_dead() {
    let world = World::empty();
    let sessions = world.sessions(TTL);
    let mut redis = redis(&world).await;
    let begun = begin(&sessions).await;
    redis.del::<_, ()>(key(&world, "user-sessions:1")).await.expect("deletes");
    assert!(!lives(&sessions, &begun).await);

    // As from a log-in that had listed it, and stores it only when all have ended.
    let begun = begin(&sessions).await;
    let record = key(&world, &format!("session:{}", begun.session.id.as_str()));
    let stored: String = redis.get(&record).await.expect("its record");
    assert_eq!(end_all(&sessions).await, std::slice::from_ref(&begun.session.id));
    redis.set_ex::<_, _, ()>(&record, stored, 60).await.expect("stores");
    assert!(!lives(&sessions, &begun).await);
}

#[tokio::test]
async fn who_has_too_many_loses_the_oldest() {
    let world = World::empty();
    let sessions = world.sessions(TTL);
    let mut redis = redis(&world).await;
    let (first, second) = (begin(&sessions).await, begin(&sessions).await);
    let mut pipe = redis::pipe();
    for (number, id) in [(0, &first.session.id), (1, &second.session.id)] {
        pipe.zadd(key(&world, "user-sessions:1"), id.as_str(), number).ignore();
    }
    for number in 2..1_000 {
        let id = SessionId::of_secret(&number.to_string());
        pipe.zadd(key(&world, "user-sessions:1"), id.as_str(), number).ignore();
    }
    pipe.query_async::<()>(&mut redis).await.expect("lists");
    let told = RefCell::new(Vec::new());
    let third = sessions.begin(&alice(), |id| told.borrow_mut().push(id.clone())).await;
    assert_eq!(told.into_inner(), std::slice::from_ref(&first.session.id));
    assert!(!lives(&sessions, &first).await && lives(&sessions, &second).await);
    assert!(lives(&sessions, &third.expect("begins")).await);
}

#[tokio::test]
async fn a_dead_session_is_told_even_where_its_place_stays() {
    let world = World::empty();
    let sessions = world.sessions(TTL);
    let begun = begin(&sessions).await;
    let mut redis = redis(&world).await;
    // No list: every command on it fails.
    redis.set::<_, _, ()>(key(&world, "user-sessions:1"), "x").await.expect("stores");
    let mut told = false;
    let ended: Result<(), ChatError> = sessions.end(&begun.session.id, || told = true).await;
    assert!(told && ended.is_ok());
}
