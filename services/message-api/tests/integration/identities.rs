//! Users who come with tokens of another issuer.

use std::{collections::HashSet, time::Duration};

use chat_core::{
    Caller, Chat, Code, Credential, Event, Notice, Result, Session, SessionId, User, model::Peer,
    process::Shutdown,
};
use futures_util::future::join_all;
use harness::issuer::{Issuer, SigningKey, seconds};
use message_api::issuers::{Issuers, Pace, read};
use serde_json::json;
use sqlx::{ConnectOptions, Executor};

use crate::support::{Replica, TTL, World, password, refusal, username};

/// A world whose replicas believe some issuers.
struct Scene {
    world: World,
    issuers: Vec<Issuer>,
    tasks: Shutdown,
}

impl Scene {
    async fn of(names: &[&str]) -> Self {
        let mut issuers = Vec::new();
        for name in names {
            let key = SigningKey::es256(name).expect("a key");
            issuers.push(Issuer::start(name, key).await.expect("an issuer"));
        }
        Self { world: World::new().await, issuers, tasks: Shutdown::new() }
    }

    fn replica(&self) -> Replica {
        let entries: Vec<_> = self.issuers.iter().map(Issuer::entry).collect();
        let file = std::env::temp_dir().join(format!("{}-issuers", self.world.prefix));
        std::fs::write(&file, json!(entries).to_string()).expect("writes");
        let listed = read(&file, false).expect("good issuers");
        std::fs::remove_file(&file).expect("removes");
        let issuers = Issuers::start(&listed, Pace::default(), &self.tasks).expect("starts");
        self.world.replica_believing(self.world.sessions(TTL), true, issuers)
    }

    /// As if all deletions so far had been an hour earlier.
    async fn an_hour_passes_since_deletions(&self) {
        let mut database = self.world.database.connect().await.expect("connects");
        let change = "UPDATE users SET deleted_at = deleted_at - INTERVAL 1 HOUR";
        database.execute(change).await.expect("changes");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.tasks.begin();
    }
}

async fn shows(replica: &Replica, token: &str) -> Result<Session> {
    replica.rules.authenticate(Credential::Token(token.into())).await
}

async fn user(replica: &Replica, token: &str) -> User {
    shows(replica, token).await.expect("enters").user
}

fn registered(replica: &mut Replica) -> Vec<User> {
    let told = replica.published().into_iter().filter_map(|told| match told.event {
        Event::Notice(Notice::UserRegistered(user)) => Some(user),
        _ => None,
    });
    told.collect()
}

#[tokio::test]
async fn the_first_token_makes_an_account_and_later_ones_open_it_everywhere() {
    let scene = Scene::of(&["https://id.example"]).await;
    let (mut one, other, issuer) = (scene.replica(), scene.replica(), &scene.issuers[0]);
    let token = issuer.token("alice").expect("signs");
    let session = shows(&one, &token).await.expect("enters");
    assert_eq!(session.user.name, username("alice"));
    assert_eq!(registered(&mut one), vec![session.user.clone()]);
    assert_eq!(shows(&other, &token).await, Ok(session.clone()), "the same session");
    let later = issuer.token_with("alice", "jti", json!("later")).expect("signs");
    let second = shows(&other, &later).await.expect("enters");
    assert_eq!(second.user, session.user);
    assert_ne!(second.id, session.id);
    assert_eq!(registered(&mut one), []);
    // It is a user like all others, but for a password.
    let found = one.rules.user(Peer::Name(username("ALICE"))).await;
    assert_eq!(found, Ok(session.user.clone()));
    let room = one.room(&Caller::User(session.user.clone()), "a room").await;
    other.says(&Caller::User(session.user.clone()), room, "hi").await;
    for guess in ["", "alice", &token] {
        let Ok(guess) = chat_core::Password::offered(guess) else { continue };
        let refused = one.rules.log_in(username("alice"), guess).await;
        assert_eq!(refusal(refused), Code::InvalidCredentials);
    }
    let new = one.rules.change_password(&session, password("none"), password("mine")).await;
    assert_eq!(refusal(new), Code::InvalidCredentials);
    let taken = one.rules.register(username("Alice"), Some(password("pass"))).await;
    assert_eq!(refusal(taken), Code::UsernameTaken);
    assert!(one.rules.admit_guest(username("alice")).await.is_err());
}

#[tokio::test]
async fn nobody_takes_over_an_account() {
    let scene = Scene::of(&["https://one.example", "https://two.example"]).await;
    let (replica, [one, two]) = (scene.replica(), &scene.issuers[..]) else { unreachable!() };
    let login = replica.rules.register(username("Alice"), Some(password("pass"))).await;
    let own = login.expect("registers").session.user;
    let mut users = vec![own];
    for token in [
        one.token("alice").expect("signs"),
        two.token("alice").expect("signs"),
        // The same name again; and other subjects, as alike as can be.
        one.token_with("bob", "preferred_username", json!("alice")).expect("signs"),
        one.token_with("alice", "sub", json!("Alice")).expect("signs"),
        one.token_with("alice", "sub", json!("alice ")).expect("signs"),
        one.token_with("alice", "sub", json!("älice")).expect("signs"),
        one.token_with("alice", "sub", json!("alice\u{0}")).expect("signs"),
        one.token_with("carol", "preferred_username", json!(null)).expect("signs"),
    ] {
        let user = user(&replica, &token).await;
        assert!(users.iter().all(|known| known.id != user.id && known.name != user.name));
        assert_eq!(self::user(&replica, &token).await, user);
        users.push(user);
    }
    let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
    assert!(names[1..8].iter().all(|name| name.starts_with("alice-") && name.len() == 12));
    assert!(names[8].starts_with("user-"), "{names:?}");
    // An issuer's key counts for its own tokens only, and ours for none.
    let posing = with_key(one, &two.key);
    assert_eq!(refusal(shows(&replica, &posing).await), Code::InvalidToken);
    let posing = with_key(two, &one.key.called(Some("https://two.example")));
    assert_eq!(refusal(shows(&replica, &posing).await), Code::InvalidToken);
    let claims = json!({"sub": "1", "userId": 1, "username": "Alice", "sid": "0".repeat(64),
        "iat": seconds(), "exp": seconds() + 60});
    let ours = one.key.token(&claims).expect("signs");
    assert_eq!(refusal(shows(&replica, &ours).await), Code::InvalidToken);
}

fn with_key(issuer: &Issuer, key: &SigningKey) -> String {
    key.token(&issuer.claims("alice")).expect("signs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_first_uses_make_one_user() {
    let scene = Scene::of(&["https://id.example"]).await;
    let (mut one, mut other) = (scene.replica(), scene.replica());
    let issuer = &scene.issuers[0];
    for round in 0..5 {
        let subject = format!("alice-{round}");
        let tokens: Vec<_> = (0..8)
            .map(|n| issuer.token_with(&subject, "jti", json!(n % 4)).expect("signs"))
            .collect();
        let all = tokens.iter().flat_map(|token| [shows(&one, token), shows(&other, token)]);
        let users: HashSet<_> = join_all(all)
            .await
            .into_iter()
            .map(|session| session.expect("enters").user.id)
            .collect();
        assert_eq!(users.len(), 1);
        let told = [registered(&mut one), registered(&mut other)].concat();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].name.as_str(), subject);
    }
}

#[tokio::test]
async fn a_token_that_was_logged_out_is_dead_on_every_replica_and_another_lives() {
    let scene = Scene::of(&["https://id.example"]).await;
    let (mut one, other, issuer) = (scene.replica(), scene.replica(), &scene.issuers[0]);
    let [token, second] =
        ["a", "b"].map(|id| issuer.token_with("alice", "jti", json!(id)).expect("signs"));
    let session = shows(&one, &token).await.expect("enters");
    let living = shows(&one, &second).await.expect("enters");
    one.published();
    one.rules.end_session(session.id.clone()).await.expect("ends");
    let told = one.published();
    assert_eq!(told[0].event, Event::Notice(Notice::SessionEnded(session.id.clone())));
    for replica in [&one, &other] {
        for _ in 0..3 {
            assert_eq!(refusal(shows(replica, &token).await), Code::InvalidToken);
        }
        let asked = vec![session.id.clone(), living.id.clone()];
        assert_eq!(replica.rules.live_sessions(asked).await, Ok(vec![living.id.clone()]));
    }
    assert_eq!(shows(&other, &second).await, Ok(living));
    assert_eq!(one.rules.end_session(session.id.clone()).await, Ok(()), "twice is fine");
    assert_eq!(refusal(shows(&other, &token).await), Code::InvalidToken);
}

#[tokio::test]
async fn a_session_ends_with_its_token_however_much_it_is_used() {
    let scene = Scene::of(&["https://id.example"]).await;
    let (replica, issuer) = (scene.replica(), &scene.issuers[0]);
    // Clocks may differ by half a minute: it still lives for a few seconds.
    let expires = seconds() - 27;
    let token = issuer.token_with("alice", "exp", json!(expires)).expect("signs");
    let session = shows(&replica, &token).await.expect("enters");
    let mut uses = 0;
    while let Ok(again) = shows(&replica, &token).await {
        assert_eq!(again, session);
        assert!(seconds() < expires + 35, "it never ends");
        uses += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(uses > 5, "{uses}");
    let asked = || replica.rules.live_sessions(vec![session.id.clone()]);
    while !asked().await.expect("answers").is_empty() {
        assert!(seconds() < expires + 35, "it never ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn no_cookie_and_no_token_of_ours_opens_such_a_session() {
    let scene = Scene::of(&["https://id.example"]).await;
    let (replica, issuer) = (scene.replica(), &scene.issuers[0]);
    let token = issuer.token("alice").expect("signs");
    let session = shows(&replica, &token).await.expect("enters");
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    let of = ["a session by a token of another", &issuer.name, "alice", signed].join("\0");
    assert_eq!(SessionId::of_secret(&of), session.id, "this is what it is made of");
    for secret in [&*of, &token, signed, session.id.as_str()] {
        let shown = Credential::Session(secret.into());
        assert_eq!(refusal(replica.rules.authenticate(shown).await), Code::Unauthorised);
    }
    let ours = replica.rules.tokens.issue(&session).expect("signs");
    let shown = Credential::Token(ours);
    assert_eq!(refusal(replica.rules.authenticate(shown).await), Code::InvalidToken);
}

#[tokio::test]
async fn a_deleted_account_stays_so_for_every_token_of_its_time() {
    let scene = Scene::of(&["https://id.example"]).await;
    let (mut one, other, issuer) = (scene.replica(), scene.replica(), &scene.issuers[0]);
    let now = seconds();
    let issued = |id: &str, at: u64| {
        let claims = harness::issuer::with(issuer.claims("alice"), "jti", json!(id));
        issuer.key.token(&harness::issuer::with(claims, "iat", json!(at))).expect("signs")
    };
    let (used, unused, ahead) = (issued("a", now), issued("b", now), issued("c", now + 25));
    let session = shows(&one, &used).await.expect("enters");
    one.rules.delete_account(&session.user).await.expect("deletes");
    let still_dead = async || {
        for replica in [&one, &other] {
            for token in [&used, &unused, &ahead] {
                assert_eq!(refusal(shows(replica, token).await), Code::InvalidToken);
            }
            assert_eq!(replica.rules.live_sessions(vec![session.id.clone()]).await, Ok(vec![]));
        }
    };
    still_dead().await;

    // Who logs in at the issuer an hour later is somebody new.
    scene.an_hour_passes_since_deletions().await;
    let (before, after) = (issued("d", now - 3_600), issued("e", now));
    assert_eq!(refusal(shows(&one, &before).await), Code::InvalidToken);
    let again = user(&one, &after).await;
    assert_ne!(again.id, session.user.id);
    assert!(again.name.as_str().starts_with("alice-"), "the old name stays taken: {}", again.name);
    assert_eq!(user(&other, &after).await, again);
    assert_eq!(refusal(shows(&one, &before).await), Code::InvalidToken);
    one.published();

    // And so again.
    one.rules.delete_account(&again).await.expect("deletes");
    assert_eq!(refusal(shows(&other, &after).await), Code::InvalidToken);
    scene.an_hour_passes_since_deletions().await;
    let third = user(&other, &issued("f", now + 1)).await;
    assert!(third.id != again.id && third.name != again.name);
}
