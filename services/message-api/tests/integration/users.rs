//! Listing users, and deleting accounts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chat_core::{
    Caller, Chat, Code, ConversationId, Credential, Event, Login, Notice, User, model::Peer,
};
use futures_util::future::join_all;
use message_api::{chat::Rules, sessions::Sessions};
use redis_link::Redis;
use tokio::task::JoinSet;

use crate::support::{
    Replica, TTL, World, guest, new_message, password, refusal, text, title, username,
};

async fn names(replica: &Replica, page: u32) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let found = replica.rules.users(after, page).await.expect("lists");
        assert!(found.users.len() <= page as usize);
        names.extend(found.users.iter().map(|user| user.name.to_string()));
        after = found.next;
        if after.is_none() {
            return names;
        }
    }
}

async fn register(replica: &Replica, name: &str) -> Login {
    replica.rules.register(username(name), Some(password("pass"))).await.expect("registers")
}

fn notices(replica: &mut Replica) -> Vec<Notice> {
    let notice = |event| if let Event::Notice(notice) = event { Some(notice) } else { None };
    replica.published().into_iter().filter_map(|publication| notice(publication.event)).collect()
}

#[tokio::test]
async fn users_are_listed_by_name_whatever_the_size_of_the_page() {
    let world = World::new().await;
    let replica = world.replica();
    assert!(names(&replica, 5).await.is_empty());
    for name in ["Mike", "alice", "Zoe", "bob", "Carol", "carla", "alice2"] {
        replica.user(name).await;
    }
    let sorted = ["alice", "alice2", "bob", "carla", "Carol", "Mike", "Zoe"];
    for page in [1, 2, 3, 7, 100] {
        assert_eq!(names(&replica, page).await, sorted, "by {page}");
    }
    let rest = replica.rules.users(Some(username("CARLA")), 1_000).await.expect("lists");
    assert_eq!(rest.users.len(), 3, "after a name in any letter case");
    let gone = Caller::user(&replica.user("Bea").await).cloned().expect("a user");
    replica.rules.delete_account(&gone).await.expect("deletes");
    assert_eq!(names(&replica, 2).await, sorted);
}

#[tokio::test]
async fn a_deleted_account_is_gone_and_its_name_and_messages_stay() {
    let world = World::new().await;
    let (mut one, other) = (world.replica(), world.replica());
    let (login, bob) = (register(&one, "Alice").await, one.user("bob").await);
    let second = other.rules.log_in(username("alice"), password("pass")).await.expect("logs in");
    let alice = login.session.user.clone();
    let caller = Caller::User(alice.clone());
    let message = other.says(&caller, ConversationId::LOBBY, "still here").await;
    one.published();
    for _ in 0..2 {
        one.rules.delete_account(&alice).await.expect("twice is as good as once");
    }
    let told = notices(&mut one);
    for ended in [&login, &second] {
        assert!(told.contains(&Notice::SessionEnded(ended.session.id.clone())));
        let shown = Credential::Session(ended.secret.clone());
        assert_eq!(refusal(other.rules.authenticate(shown).await), Code::Unauthorised);
        let shown = Credential::Token(ended.token.clone());
        assert_eq!(refusal(other.rules.authenticate(shown).await), Code::InvalidToken);
    }
    let deletions = told.iter().filter(|notice| **notice == Notice::UserDeleted(alice.clone()));
    assert_eq!(deletions.count(), 1, "everybody hears it once");

    for replica in [&one, &other] {
        let rules = &replica.rules;
        for peer in [Peer::Id(alice.id), Peer::Name(username("ALICE"))] {
            assert_eq!(refusal(rules.user(peer.clone()).await), Code::UnknownUser);
            assert_eq!(refusal(rules.open_direct(&bob, peer).await), Code::UnknownUser);
        }
        let log_in = rules.log_in(username("alice"), password("pass")).await;
        assert_eq!(log_in.err().map(|e| e.code()), Some(Code::InvalidCredentials));
        let again = rules.register(username("aLICE"), Some(password("pass"))).await;
        assert_eq!(again.err().map(|e| e.code()), Some(Code::UsernameTaken));
        assert_eq!(refusal(rules.admit_guest(username("alice")).await), Code::UsernameTaken);
        let posted = replica.tries(&caller, ConversationId::LOBBY, "a ghost", None).await;
        assert_eq!(refusal(posted), Code::Unauthorised);
        assert_eq!(rules.message(&bob, message.id).await.as_ref(), Ok(&message));
    }
    assert_eq!(refusal(one.rules.edit(&caller, message.id, text("x")).await), Code::Unauthorised);
    let room = one.rules.create_room(&caller, title("x")).await;
    assert_eq!(refusal(room), Code::Unauthorised);
}

#[tokio::test]
async fn an_account_that_is_not_there_cannot_be_deleted() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = register(&replica, "alice").await.session.user;
    for name in ["bob", "Alice"] {
        let wrong = User { id: alice.id, name: username(name) };
        assert_eq!(refusal(replica.rules.delete_account(&wrong).await), Code::UnknownUser);
    }
    let absent = User { id: chat_core::UserId(alice.id.0 + 7), name: alice.name.clone() };
    assert_eq!(refusal(replica.rules.delete_account(&absent).await), Code::UnknownUser);
    assert_eq!(replica.rules.user(Peer::Id(alice.id)).await, Ok(alice));
}

/// Posts without end; returns how many were stored once it is refused.
async fn chatterbox(rules: Arc<Rules>, who: Caller, at: ConversationId) -> usize {
    let mut stored = 0;
    loop {
        match rules.post(&who, new_message(at, "hi", None), None).await {
            Ok(_) => stored += 1,
            Err(refused) => {
                assert_eq!(refused.code(), Code::Unauthorised, "{refused}");
                return stored;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_deletion_is_confirmed_no_replica_stores_another_post() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica(), world.replica()];
    let (alice, bob) = (replicas[0].user("alice").await, replicas[0].user("bob").await);
    let lobby = ConversationId::LOBBY;
    let mut posters = JoinSet::new();
    for n in 0..9 {
        posters.spawn(chatterbox(Arc::clone(&replicas[n % 3].rules), alice.clone(), lobby));
    }
    let head = async || replicas[0].rules.heads(vec![lobby]).await.expect("heads")[0].1;
    while head().await.0 < 50 {
        tokio::task::yield_now().await;
    }
    let user = alice.user().expect("a user");
    let deletions = replicas.iter().map(|replica| replica.rules.delete_account(user));
    assert!(join_all(deletions).await.iter().all(Result::is_ok));
    // Everything stored so far stands before this one; nothing of hers may come after the next.
    let (first, second) =
        (replicas[1].says(&bob, lobby, "gone?").await, replicas[2].says(&bob, lobby, "gone").await);
    let stored: usize = posters.join_all().await.into_iter().sum();
    let changes = replicas[0].all_changes(lobby, 500).await;
    assert_eq!(changes.len(), stored + 2, "what was acknowledged is there, and nothing else");
    assert_eq!(first.seq.next(), second.seq);
    assert_eq!(changes.last().map(|change| change.seq), Some(second.seq));
}

/// Log-ins that race with something.
#[derive(Default)]
struct Race {
    is_over: AtomicBool,
    /// How many were let in.
    begun: AtomicUsize,
}

impl Race {
    async fn is_on(&self) {
        while self.begun.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Logs in without end; returns the logins.
async fn eager(rules: Arc<Rules>, race: Arc<Race>) -> Vec<Login> {
    let mut logins = Vec::new();
    while !race.is_over.load(Ordering::Relaxed) {
        match rules.log_in(username("alice"), password("pass")).await {
            Ok(login) => {
                race.begun.fetch_add(1, Ordering::Relaxed);
                logins.push(login);
            }
            Err(refused) => assert_eq!(refused.code(), Code::InvalidCredentials, "{refused}"),
        }
    }
    logins
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_outlives_its_account_however_logins_race_with_the_deletion() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let alice = register(&replicas[0], "alice").await.session.user;
    let race = Arc::new(Race::default());
    let mut logins = JoinSet::new();
    for n in 0..6 {
        logins.spawn(eager(Arc::clone(&replicas[n % 2].rules), Arc::clone(&race)));
    }
    race.is_on().await;
    replicas[0].rules.delete_account(&alice).await.expect("deletes");
    race.is_over.store(true, Ordering::Relaxed);
    let began: Vec<_> = logins.join_all().await.into_iter().flatten().collect();
    assert!(!began.is_empty(), "some were let in before");
    let ids = began.into_iter().map(|login| login.session.id).collect();
    assert_eq!(replicas[1].rules.live_sessions(ids).await, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_of_the_old_password_outlives_its_change_however_logins_race_with_it() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let kept = register(&replicas[0], "alice").await;
    let race = Arc::new(Race::default());
    let mut logins = JoinSet::new();
    for n in 0..6 {
        logins.spawn(eager(Arc::clone(&replicas[n % 2].rules), Arc::clone(&race)));
    }
    race.is_on().await;
    let change = |current| {
        let (current, new) = (password(current), password("another"));
        replicas[0].rules.change_password(&kept.session, current, new)
    };
    change("pass").await.expect("changes");
    race.is_over.store(true, Ordering::Relaxed);
    let began: Vec<_> = logins.join_all().await.into_iter().flatten().collect();
    assert!(!began.is_empty(), "some were let in before");
    let mut ids: Vec<_> = began.into_iter().map(|login| login.session.id).collect();
    ids.push(kept.session.id.clone());
    assert_eq!(replicas[1].rules.live_sessions(ids).await, Ok(vec![kept.session.id.clone()]));
    assert_eq!(refusal(change("pass").await), Code::InvalidCredentials);
    let old = replicas[1].rules.log_in(username("alice"), password("pass")).await;
    assert_eq!(refusal(old), Code::InvalidCredentials);
    replicas[1].rules.log_in(username("alice"), password("another")).await.expect("logs in");
}

#[tokio::test]
async fn of_two_changes_of_a_password_at_once_one_is_refused() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let login = register(&replicas[0], "alice").await;
    let change = async |replica: &Replica, new| {
        replica.rules.change_password(&login.session, password("pass"), password(new)).await
    };
    let (one, other) =
        tokio::join!(change(&replicas[0], "number one"), change(&replicas[1], "number two"));
    let (good, bad, refused) = match (one, other) {
        (Ok(()), Err(refused)) => ("number one", "number two", refused),
        (Err(refused), Ok(())) => ("number two", "number one", refused),
        both => panic!("{both:?}"),
    };
    assert_eq!(refused.code(), Code::InvalidCredentials);
    let log_in = |raw| replicas[0].rules.log_in(username("alice"), password(raw));
    log_in(good).await.expect("logs in");
    assert_eq!(refusal(log_in(bad).await), Code::InvalidCredentials);
}

#[tokio::test]
async fn without_redis_a_password_stays_as_it_is() {
    let world = World::new().await;
    let login = register(&world.replica(), "alice").await;
    let nowhere = Redis::single("redis://127.0.0.1:1", "x").expect("a URL");
    let replica = world.replica_with(Sessions::new(&nowhere, TTL), true);
    let (current, new) = (password("pass"), password("another"));
    let refused = replica.rules.change_password(&login.session, current, new).await;
    assert_eq!(refusal(refused), Code::Unavailable);
    world.replica().rules.log_in(username("alice"), password("pass")).await.expect("as before");
}

#[tokio::test]
async fn without_redis_nothing_of_an_account_is_deleted() {
    let world = World::new().await;
    let login = register(&world.replica(), "alice").await;
    let nowhere = Redis::single("redis://127.0.0.1:1", "x").expect("a URL");
    let nowhere = Sessions::new(&nowhere, TTL);
    let mut replica = world.replica_with(nowhere, true);
    let refused = replica.rules.delete_account(&login.session.user).await;
    assert_eq!(refusal(refused), Code::Unavailable);
    assert!(notices(&mut replica).is_empty());
    let whole = world.replica();
    let shown = Credential::Session(login.secret);
    assert_eq!(whole.rules.authenticate(shown).await, Ok(login.session));
    whole.rules.log_in(username("alice"), password("pass")).await.expect("logs in");
    assert!(whole.rules.admit_guest(username("greta")).await == Ok(guest("greta")));
}

#[tokio::test]
async fn a_session_that_has_long_been_in_use_ends_with_its_account_too() {
    let world = World::new().await;
    let ttl = Duration::from_secs(2);
    let replica = world.replica_with(world.sessions(ttl), true);
    let login = register(&replica, "alice").await;
    let shown = || Credential::Session(login.secret.clone());
    let began = chat_core::clock::now();
    while chat_core::clock::now() - began < ttl * 2 {
        replica.rules.authenticate(shown()).await.expect("lives while it is used");
        tokio::time::sleep(ttl / 8).await;
    }
    replica.rules.delete_account(&login.session.user).await.expect("deletes");
    assert_eq!(refusal(replica.rules.authenticate(shown()).await), Code::Unauthorised);
}
