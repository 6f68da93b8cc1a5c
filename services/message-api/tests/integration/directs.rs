//! A user's directs, and how far somebody has seen a conversation.

use std::time::Duration;

use chat_core::{
    Chat, Code, Conversation, ConversationId, ConversationKind, clock,
    model::{Peer, Seen},
};
use futures_util::future::join_all;
use time::OffsetDateTime;

use crate::support::{World, guest, refusal};

fn ids(directs: &[Conversation]) -> Vec<ConversationId> {
    directs.iter().map(|direct| direct.id).collect()
}

/// Waits until the clock shows another millisecond: times are told apart by no less.
async fn tick() {
    let now = clock::now();
    while clock::now() == now {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

#[tokio::test]
async fn directs_come_newest_activity_first_and_the_silent_ones_last() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let alice = replica.user("alice").await;
    let mut opened = Vec::new();
    let mut peers = Vec::new();
    for name in ["bob", "carol", "dave", "eve"] {
        let peer = replica.user(name).await;
        let direct = rules.open_direct(&peer, Peer::Name(alice.name().clone())).await;
        opened.push(direct.expect("opens").id);
        peers.push(peer);
        tick().await;
    }
    let [bob, carol, dave, eve] = opened[..] else { panic!("four") };
    let directs = async |who| ids(&rules.directs(who, 100).await.expect("lists"));
    assert_eq!(directs(&alice).await, [eve, dave, carol, bob]);
    replica.says(&alice, carol, "hi").await;
    tick().await;
    replica.says(&peers[0], bob, "hi").await;
    assert_eq!(directs(&alice).await, [bob, carol, eve, dave]);
    tick().await;
    replica.says(&peers[1], carol, "ho").await;
    assert_eq!(directs(&alice).await, [carol, bob, eve, dave]);
    assert_eq!(ids(&rules.directs(&alice, 2).await.expect("lists")), [carol, bob]);
    assert_eq!(directs(&peers[3]).await, [eve], "only one's own");
    assert!(directs(&guest("greta")).await.is_empty());

    let first = rules.directs(&alice, 1).await.expect("lists").remove(0);
    let ConversationKind::Direct { peers: two } = first.kind else { panic!("a direct") };
    let names: Vec<_> = two.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["alice", "carol"]);
    assert_eq!(first.message_count, 2);
}

#[tokio::test]
async fn a_direct_with_somebody_deleted_is_still_listed_with_both() {
    let world = World::new().await;
    let replica = world.replica();
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let rules = &replica.rules;
    let direct = rules.open_direct(&alice, Peer::Name(bob.name().clone())).await.expect("opens").id;
    replica.says(&bob, direct, "bye").await;
    rules.delete_account(bob.user().expect("a user")).await.expect("deletes");
    let listed = rules.directs(&alice, 10).await.expect("lists");
    let ConversationKind::Direct { peers } = &listed[0].kind else { panic!("a direct") };
    assert!(peers.iter().any(|peer| Some(peer) == bob.user()));
    assert_eq!(replica.texts(&alice, direct).await, ["bye"]);
    assert_eq!(rules.unread_count(&alice, direct).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_moves_only_forward_and_answers_where_it_was() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let rules = &replicas[0].rules;
    let (alice, bob) = (replicas[0].user("alice").await, replicas[0].user("bob").await);
    let lobby = ConversationId::LOBBY;
    let at = |second: i64| clock::from_millis(1_700_000_000_000 + second * 1_000);
    let see = async |second: Option<i64>| {
        rules
            .mark_seen(&alice, lobby, second.map(|second| Seen::At(at(second))))
            .await
            .expect("answers")
    };
    assert_eq!(see(None).await, None, "never seen, and asking moves nothing");
    assert_eq!(see(Some(5)).await, None);
    assert_eq!(see(Some(3)).await, Some(at(5)));
    assert_eq!(see(Some(9)).await, Some(at(5)), "it did not move back");
    assert_eq!(see(None).await, Some(at(9)));
    let moves = (0..40_usize).map(|n| {
        let second = i64::try_from(n * 7 % 40).expect("small");
        replicas[n % 2].rules.mark_seen(&alice, lobby, Some(Seen::At(at(second))))
    });
    assert!(join_all(moves).await.iter().all(Result::is_ok));
    assert_eq!(see(None).await, Some(at(39)));
    assert_eq!(rules.mark_seen(&bob, lobby, None).await, Ok(None), "everybody has their own");
}

#[tokio::test]
async fn a_mark_is_nobody_elses_business_and_never_in_the_future() {
    let world = World::new().await;
    let replica = world.replica();
    let rules = &replica.rules;
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let carol = replica.user("carol").await;
    let direct = rules.open_direct(&alice, Peer::Name(bob.name().clone())).await.expect("opens").id;
    assert_eq!(refusal(rules.mark_seen(&carol, direct, None).await), Code::NotFound);
    let greta = guest("greta");
    assert_eq!(refusal(rules.mark_seen(&greta, direct, None).await), Code::NotFound);
    for _ in 0..2 {
        let seen =
            rules.mark_seen(&greta, ConversationId::LOBBY, Some(Seen::At(clock::now()))).await;
        assert_eq!(seen, Ok(None), "guests have no marks");
    }
    let far = OffsetDateTime::now_utc() + Duration::from_secs(1_000_000);
    rules.mark_seen(&alice, direct, Some(Seen::At(far))).await.expect("answers");
    let mark = rules.mark_seen(&alice, direct, None).await.expect("answers").expect("a mark");
    assert!(mark <= clock::now());
    let ancient = clock::from_millis(-60_000_000_000_000);
    rules.mark_seen(&bob, direct, Some(Seen::At(ancient))).await.expect("answers");
    let mark = rules.mark_seen(&bob, direct, None).await.expect("answers");
    assert_eq!(mark, Some(OffsetDateTime::UNIX_EPOCH));
}
