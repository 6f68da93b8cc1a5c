//! Accounts, sessions, tokens, guests.

use std::time::Duration;

use chat_core::{
    Chat, Code, ConversationId, Credential, Event, Login, Notice, SessionId, Topic, clock,
    model::Peer,
};
use secrecy::ExposeSecret;

use crate::support::{Replica, World, guest, password, refusal, seqs_to, username};

fn cookie(login: &Login) -> Credential {
    Credential::Session(login.secret.clone())
}

fn token(login: &Login) -> Credential {
    Credential::Token(login.token.clone())
}

async fn alice(replica: &Replica) -> Login {
    replica.rules.register(username("Alice"), Some(password("pass"))).await.expect("registers")
}

#[tokio::test]
async fn one_logs_in_in_any_letter_case_and_only_with_the_password() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let registered = alice(&replica).await;
    let again = rules.log_in(username("aLICE"), password("pass")).await.expect("logs in");
    assert_eq!(again.session.user, registered.session.user);
    assert_ne!(again.session.id, registered.session.id);
    rules.register(username("nopass"), None).await.expect("registers");
    for (name, wrong) in [("alice", "Pass"), ("nobody", "pass"), ("nopass", "pass")] {
        let refused = rules.log_in(username(name), password(wrong)).await;
        assert_eq!(refusal(refused), Code::InvalidCredentials, "{name}");
    }
    let taken = rules.register(username("ALICE"), Some(password("pass"))).await;
    assert_eq!(refusal(taken), Code::UsernameTaken);
    let found = rules.user(Peer::Name(username("alice"))).await;
    assert_eq!(found.as_ref(), Ok(&registered.session.user), "shown as first typed");
    assert_eq!(rules.user(Peer::Id(registered.session.user.id)).await, found);
}

#[tokio::test]
async fn a_session_lives_on_every_replica_until_it_is_ended_on_one() {
    let world = World::new().await;
    let (mut one, other) = (world.replica(), world.replica());
    let login = alice(&one).await;
    let second = one.rules.log_in(username("alice"), password("pass")).await.expect("logs in");
    one.published();
    for credential in [cookie(&login), token(&login)] {
        assert_eq!(other.rules.authenticate(credential).await, Ok(login.session.clone()));
    }
    one.rules.end_session(login.session.id.clone()).await.expect("ends");
    assert_eq!(refusal(other.rules.authenticate(cookie(&login)).await), Code::Unauthorised);
    assert_eq!(refusal(other.rules.authenticate(token(&login)).await), Code::InvalidToken);
    assert!(other.rules.authenticate(token(&second)).await.is_ok(), "only that one ended");
    let told = one.published();
    assert_eq!(told[0].topics, [Topic::Everyone]);
    assert_eq!(told[0].event, Event::Notice(Notice::SessionEnded(login.session.id.clone())));
    let asked = vec![login.session.id.clone(), second.session.id.clone()];
    assert_eq!(other.rules.live_sessions(asked).await, Ok(vec![second.session.id]));
    assert_eq!(one.rules.end_session(login.session.id).await, Ok(()), "ending it twice is fine");
}

#[tokio::test]
async fn a_session_slides_while_it_is_used_and_ends_when_it_is_not() {
    let world = World::new().await;
    let ttl = Duration::from_secs(2);
    let replica = world.replica_with(world.sessions(ttl), true);
    let login = alice(&replica).await;
    let began = clock::now();
    while clock::now() - began < ttl * 2 {
        replica.rules.authenticate(cookie(&login)).await.expect("lives while it is used");
        tokio::time::sleep(ttl / 8).await;
    }
    let asked = || replica.rules.live_sessions(vec![login.session.id.clone()]);
    while !asked().await.expect("answers").is_empty() {
        tokio::time::sleep(ttl / 8).await;
    }
    assert_eq!(refusal(replica.rules.authenticate(token(&login)).await), Code::InvalidToken);
}

#[tokio::test]
async fn what_was_never_issued_is_refused() {
    let world = World::new().await;
    let replica = world.replica();
    let login = alice(&replica).await;
    let id = login.session.id.as_str();
    for wrong in ["", "x", id, &login.token.expose_secret()[1..], "' OR 1=1", "*"] {
        let session = replica.rules.authenticate(Credential::Session(wrong.into())).await;
        assert_eq!(refusal(session), Code::Unauthorised);
        let token = replica.rules.authenticate(Credential::Token(wrong.into())).await;
        assert_eq!(refusal(token), Code::InvalidToken);
    }
}

#[tokio::test]
async fn redis_never_holds_the_secret() {
    let world = World::new().await;
    let replica = world.replica();
    let login = alice(&replica).await;
    let client = redis::Client::open(world.redis_url.as_str()).expect("REDIS_URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("connects");
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{}:*", world.prefix))
        .query_async(&mut redis)
        .await
        .expect("keys");
    assert_eq!(keys.len(), 2);
    let stored = format!("{}:session:{}", world.prefix, login.session.id.as_str());
    assert!(keys.contains(&stored), "{keys:?}");
    let value: String = redis::cmd("GET").arg(stored).query_async(&mut redis).await.expect("value");
    assert!(!value.contains(login.secret.expose_secret()));
    assert_eq!(SessionId::of_secret(login.secret.expose_secret()), login.session.id);
}

#[tokio::test]
async fn a_guest_does_not_bear_a_registered_name() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let greta = rules.admit_guest(username("Greta")).await.expect("let in");
    replica.says(&greta, ConversationId::LOBBY, "hi").await;
    rules.register(username("greta"), None).await.expect("registers");
    assert_eq!(refusal(rules.admit_guest(username("GRETA")).await), Code::UsernameTaken);
    let posted = replica.tries(&greta, ConversationId::LOBBY, "still here", None).await;
    assert_eq!(refusal(posted), Code::UsernameTaken);
}

/// Posts of guests and users share a commit; a name that was registered elsewhere takes only its
/// guest's right.
#[tokio::test]
async fn a_registration_on_another_replica_ends_its_guests_right_at_once_and_nobody_elses() {
    let world = World::new().await;
    let (replica, other) = (world.replica(), world.replica());
    let lobby = ConversationId::LOBBY;
    let alice = replica.user("alice").await;
    let key = Some("the key");
    let first = replica.tries(&guest("Greta"), lobby, "first", key).await.expect("posts");
    other.rules.register(username("gReTa"), None).await.expect("registers");
    let who = [guest("Greta"), guest("Gustav"), alice, guest("GRETA")];
    let posts = (0..40).map(|n| replica.tries(&who[n % 4], lobby, "hi", None));
    let answers = futures_util::future::join_all(posts).await;
    for (n, answer) in answers.into_iter().enumerate() {
        match n % 4 {
            0 | 3 => assert_eq!(refusal(answer), Code::UsernameTaken),
            _ => assert_eq!(answer.expect("posts").author, who[n % 4]),
        }
    }
    let again = replica.tries(&guest("Greta"), lobby, "first", key).await;
    assert_eq!(refusal(again), Code::UsernameTaken);
    let seqs: Vec<_> = replica.all_changes(lobby, 500).await.iter().map(|c| c.seq).collect();
    assert_eq!((first.seq, seqs), (seqs_to(1)[0], seqs_to(21)));
}

#[tokio::test]
async fn where_guests_are_off_they_are_refused_everywhere() {
    let world = World::new().await;
    let replica = world.replica_with(world.sessions(crate::support::TTL), false);
    let (rules, greta, lobby) = (&replica.rules, guest("greta"), ConversationId::LOBBY);
    let alice = replica.user("alice").await;
    let message = replica.says(&alice, lobby, "hi").await;
    assert_eq!(refusal(rules.admit_guest(username("greta")).await), Code::Unauthorised);
    assert_eq!(refusal(rules.conversation(&greta, lobby).await), Code::Unauthorised);
    assert_eq!(refusal(rules.message(&greta, message.id).await), Code::Unauthorised);
    assert_eq!(refusal(replica.tries(&greta, lobby, "hi", None).await), Code::Unauthorised);
    let page = rules.history(&greta, lobby, chat_core::model::Span::Newest, 1).await;
    assert_eq!(refusal(page.map(|page| page.head)), Code::Unauthorised);
}
