//! Many at once, over two replicas: order, idempotency, races for names.

use std::{collections::HashSet, sync::Arc};

use chat_core::{Caller, ChangeKind, Chat, Code, ConversationId, Seq, Via, model::Peer};
use futures_util::future::join_all;
use message_api::{chat::Rules, store::group_commit::Post};
use tokio::task::JoinSet;

use crate::support::{Replica, World, guest, new_message, refusal, seqs_to, text, title};

const POSTERS: u64 = 50;
const POSTS: u64 = 8;

/// Posts, edits the first, deletes the last; returns what was posted, in order.
async fn poster(rules: Arc<Rules>, who: Caller, room: ConversationId) -> Vec<Seq> {
    let mut messages = Vec::new();
    for n in 0..POSTS {
        let message = new_message(room, &format!("{} {n}", who.name()), None);
        messages.push(rules.post(&who, message, None).await.expect("posts"));
        if n == POSTS / 2 {
            rules.edit(&who, messages[0].id, text("edited")).await.expect("edits");
        }
    }
    let last = messages.last().expect("posted");
    rules.delete(&who, last.id).await.expect("deletes");
    messages.iter().map(|message| message.seq).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_posters_over_two_replicas_leave_no_hole_and_keep_their_order() {
    let world = World::new().await;
    let mut replicas = [world.replica(), world.replica()];
    let host = replicas[0].user("host").await;
    let room = replicas[0].room(&host, "busy").await;
    let mut posters = JoinSet::new();
    for n in 0..POSTERS {
        let replica = &replicas[(n % 2) as usize];
        let who = replica.user(&format!("user{n}")).await;
        posters.spawn(poster(Arc::clone(&replica.rules), who, room));
    }
    let posted = posters.join_all().await;
    for seqs in &posted {
        assert!(seqs.is_sorted_by(|one, next| one < next), "a sender's order was kept");
    }
    let total = POSTERS * (POSTS + 2);
    check_changes(&replicas[1], room, total).await;
    let found = replicas[1].rules.conversation(&host, room).await.expect("the room");
    assert_eq!((found.head, found.message_count), (Seq(total), POSTERS * (POSTS - 1)));
    let mut published: Vec<_> = replicas.iter_mut().flat_map(Replica::published_seqs).collect();
    published.sort_unstable();
    assert_eq!(published, seqs_to(total), "each change was published once");
}

async fn check_changes(replica: &Replica, room: ConversationId, total: u64) {
    let changes = replica.all_changes(room, 37).await;
    let seqs: Vec<_> = changes.iter().map(|change| change.seq).collect();
    assert_eq!(seqs, seqs_to(total));
    let (mut ids, mut voids, mut edits) = (HashSet::new(), 0, 0);
    for change in &changes {
        match &change.kind {
            ChangeKind::Posted(message) => {
                assert_eq!(message.seq, change.seq);
                assert!(ids.insert(message.id));
            }
            ChangeKind::Edited(message) => {
                assert_eq!(message.text, "edited");
                edits += 1;
            }
            ChangeKind::Void => voids += 1,
            ChangeKind::Deleted { .. } => {}
            ChangeKind::Read { .. } => panic!("nobody reads in a room"),
        }
    }
    assert_eq!((voids, edits), (POSTERS, POSTERS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_to_many_conversations_at_once_keep_each_one_whole() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let host = replicas[0].user("host").await;
    let mut rooms = vec![ConversationId::LOBBY];
    for n in 0..9 {
        rooms.push(replicas[0].room(&host, &format!("room {n}")).await);
    }
    let posts =
        (0..400).map(|n| replicas[n % 2].tries(&host, rooms[(n * 7) % rooms.len()], "hi", None));
    assert!(join_all(posts).await.iter().all(Result::is_ok));
    for room in rooms {
        let seqs: Vec<_> =
            replicas[0].all_changes(room, 500).await.iter().map(|change| change.seq).collect();
        assert_eq!(seqs, seqs_to(40));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_sent_many_times_at_once_gives_one_message_and_one_answer() {
    let world = World::new().await;
    let mut replicas = [world.replica(), world.replica()];
    let alice = replicas[0].user("alice").await;
    let room = replicas[0].room(&alice, "room").await;
    for who in [alice.clone(), guest("Greta")] {
        let key = Some("the key");
        // Into two conversations: the key is the author's, not the conversation's.
        let sends = (0..60).map(|n| {
            let at = if n % 3 == 0 { ConversationId::LOBBY } else { room };
            replicas[n % 2].tries(&who, at, "hi", key)
        });
        let answers: HashSet<_> =
            join_all(sends).await.into_iter().map(|answer| answer.expect("answers").id).collect();
        assert_eq!(answers.len(), 1);
    }
    // A guest is who they are in any letter case.
    let again = replicas[0].tries(&guest("GRETA"), room, "other text", Some("the key")).await;
    assert_eq!(again.expect("answers").text, "hi");
    let heads = replicas[0].rules.heads(vec![ConversationId::LOBBY, room]).await.expect("heads");
    assert_eq!(heads.iter().map(|(_, head)| head.0).sum::<u64>(), 2);
    let published = replicas.iter_mut().map(|replica| replica.published_seqs().len());
    assert_eq!(published.sum::<usize>(), 2, "only what was stored is published");
}

#[tokio::test]
async fn a_key_gives_the_first_message_again_for_good() {
    let world = World::new().await;
    let mut replica = world.replica();
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let lobby = ConversationId::LOBBY;
    let first = replica.tries(&alice, lobby, "first", Some("k")).await.expect("posts");
    assert_eq!(replica.tries(&alice, lobby, "second", Some("k")).await, Ok(first.clone()));
    let others = replica.tries(&bob, lobby, "bob's", Some("k")).await.expect("posts");
    assert_ne!(others.id, first.id, "the key belongs to its author");
    replica.rules.delete(&alice, first.id).await.expect("deletes");
    replica.published();
    let deleted = replica.tries(&alice, lobby, "third", Some("k")).await.expect("answers");
    assert_eq!((deleted.id, deleted.seq, deleted.text.as_str()), (first.id, first.seq, ""));
    assert!(replica.published().is_empty());
    assert_eq!(replica.texts(&alice, lobby).await, ["bob's"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_has_one_direct_whoever_starts_it_and_however_many_race() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let (alice, bob) = (replicas[0].user("alice").await, replicas[0].user("bob").await);
    let opens = (0..40).map(|n| {
        let (who, peer) = if n % 4 < 2 { (&alice, &bob) } else { (&bob, &alice) };
        replicas[n % 2].rules.open_direct(who, Peer::Name(peer.name().clone()))
    });
    let ids: HashSet<_> =
        join_all(opens).await.into_iter().map(|direct| direct.expect("opens").id).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_title_is_taken_once_in_any_letter_case() {
    let world = World::new().await;
    let mut replicas = [world.replica(), world.replica()];
    let alice = replicas[0].user("alice").await;
    for titles in [["Rust", "rUST"], ["ÉCOLE Ω", "école ω"], ["Привет", "ПРИВЕТ"]] {
        let makes =
            (0..12).map(|n| replicas[n % 2].rules.create_room(&alice, title(titles[n / 2 % 2])));
        let (made, refused): (Vec<_>, Vec<_>) =
            join_all(makes).await.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1, "{titles:?}");
        assert!(refused.into_iter().all(|refused| refusal(refused) == Code::NameTaken));
    }
    let notices = replicas.iter_mut().flat_map(Replica::published).filter(|publication| {
        matches!(publication.event, chat_core::Event::Notice(chat_core::Notice::RoomCreated(_)))
    });
    assert_eq!(notices.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_name_is_taken_once_in_any_letter_case() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let names = ["alice", "ALICE", "Alice"];
    let registers = (0..12)
        .map(|n| replicas[n % 2].rules.register(crate::support::username(names[n % 3]), None));
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all(registers).await.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    assert!(refused.into_iter().all(|refused| refusal(refused) == Code::UsernameTaken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_fails_alone() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let post = |n: usize| Post {
        conversation: if n == 20 { ConversationId::from_raw(5) } else { ConversationId::LOBBY },
        peers: None,
        author: alice.clone(),
        text: n.to_string(),
        // More than the column holds.
        media: if n == 10 { vec!["x".repeat(70_000)] } else { Vec::new() },
        client_id: None,
        via: Via::Service,
    };
    let posts = (0..50).map(|n| replica.rules.group_commit.post(vec![post(n)], None));
    for (n, answer) in join_all(posts).await.into_iter().enumerate() {
        let answer = answer.expect("the lanes run").remove(0);
        match n {
            10 => assert_eq!(refusal(answer), Code::Internal),
            20 => assert_eq!(refusal(answer), Code::NotFound),
            _ => assert_eq!(answer.expect("stored").message.text, n.to_string()),
        }
    }
    let head = replica.rules.heads(vec![ConversationId::LOBBY]).await;
    assert_eq!(head, Ok(vec![(ConversationId::LOBBY, Seq(48))]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_stored_in_their_order_and_never_parted() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let run = |n: usize| {
        let post = |m: usize| Post {
            conversation: ConversationId::LOBBY,
            peers: None,
            author: alice.clone(),
            text: format!("{n} {m}"),
            // More than the column holds, in one run of all.
            media: if (n, m) == (20, 3) { vec!["x".repeat(70_000)] } else { Vec::new() },
            client_id: None,
            via: Via::Service,
        };
        replica.rules.group_commit.post((0..30).map(post).collect(), None)
    };
    let runs = join_all((0..40).map(run)).await;
    for (n, answers) in runs.into_iter().enumerate() {
        let answers = answers.expect("the lanes run");
        assert_eq!(answers.len(), 30);
        let first = answers[0].as_ref().expect("stored").message.seq;
        for (m, answer) in answers.into_iter().enumerate() {
            if (n, m) == (20, 3) {
                assert_eq!(refusal(answer), Code::Internal);
                continue;
            }
            let message = answer.expect("stored").message;
            let missing = u64::from(n == 20 && m > 3);
            assert_eq!(
                (message.text, message.seq.0),
                (format!("{n} {m}"), first.0 + m as u64 - missing)
            );
        }
    }
}
