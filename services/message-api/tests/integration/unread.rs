//! What the two of a direct have not read.

use chat_core::{Chat, Code, ConversationId, model::Peer};
use futures_util::future::join_all;

use crate::support::{World, guest, refusal, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posting_reading_and_deleting_count_exactly() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let (alice, bob) = (replicas[0].user("alice").await, replicas[0].user("bob").await);
    let rules = &replicas[0].rules;
    let direct = rules.open_direct(&alice, Peer::Name(bob.name().clone())).await.expect("opens").id;
    let unread = async |who| rules.unread_count(who, direct).await.expect("counts");
    let posts = (0..20).map(|n| replicas[n % 2].tries(&alice, direct, "hi", None));
    let posted: Vec<_> = join_all(posts).await.into_iter().map(|m| m.expect("posts").id).collect();
    assert_eq!((unread(&alice).await, unread(&bob).await), (0, 20));
    // Each of five is read four times at once, over both replicas.
    let reads = (0..20).map(|n| replicas[n % 2].rules.mark_read(&bob, posted[n % 5]));
    assert!(join_all(reads).await.iter().all(Result::is_ok));
    assert_eq!(unread(&bob).await, 15);
    for id in [posted[0], posted[9]] {
        rules.delete(&alice, id).await.expect("deletes");
    }
    assert_eq!(unread(&bob).await, 14, "only the unread one counted");
    replicas[1].says(&bob, direct, "ho").await;
    assert_eq!((unread(&alice).await, unread(&bob).await), (1, 14));
    let changes = replicas[1].all_changes(direct, 500).await.len();
    assert_eq!(changes, 20 + 5 + 2 + 1, "reading twice changes nothing");
    assert!(rules.message(&bob, posted[1]).await.expect("there").is_read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_deleting_and_editing_at_once_count_each_message_once() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let (alice, bob) = (replicas[0].user("alice").await, replicas[0].user("bob").await);
    let rules = &replicas[0].rules;
    let direct = rules.open_direct(&alice, Peer::Name(bob.name().clone())).await.expect("opens").id;
    let mut posted = Vec::new();
    for _ in 0..12 {
        posted.push(replicas[0].says(&alice, direct, "hi").await.id);
    }
    let edits = posted.iter().map(|id| rules.edit(&alice, *id, text("ho")));
    assert!(join_all(edits).await.iter().all(Result::is_ok));
    assert_eq!(rules.unread_count(&bob, direct).await, Ok(12), "an edit is no news");
    // Eight are read, deleted and edited at once, while four more arrive.
    let touched = &posted[..8];
    let reads = join_all(touched.iter().map(|id| replicas[1].rules.mark_read(&bob, *id)));
    let deletions = join_all(touched.iter().map(|id| rules.delete(&alice, *id)));
    let edits = join_all(touched.iter().map(|id| replicas[1].rules.edit(&alice, *id, text("ha"))));
    let posts = join_all((0..4).map(|_| replicas[1].tries(&alice, direct, "more", None)));
    let (reads, deletions, edits, posts) = tokio::join!(reads, deletions, edits, posts);
    assert!(deletions.iter().all(Result::is_ok) && posts.iter().all(Result::is_ok));
    // Whoever comes after a deletion finds nothing.
    for refused in reads.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code(), Code::NotFound);
    }
    for refused in edits.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code(), Code::NotFound);
    }
    assert_eq!(rules.unread_count(&bob, direct).await, Ok(8));
    for id in &posted[8..] {
        rules.mark_read(&bob, *id).await.expect("reads");
    }
    assert_eq!(rules.unread_count(&bob, direct).await, Ok(4));
}

#[tokio::test]
async fn only_the_recipient_reads_and_only_the_two_know_of_it() {
    let world = World::new().await;
    let replica = world.replica();
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let carol = replica.user("carol").await;
    let rules = &replica.rules;
    let direct = rules.open_direct(&alice, Peer::Name(bob.name().clone())).await.expect("opens").id;
    let message = replica.says(&alice, direct, "hi").await;
    assert_eq!(refusal(rules.mark_read(&alice, message.id).await), Code::Forbidden);
    for stranger in [carol, guest("bobby")] {
        assert_eq!(refusal(rules.mark_read(&stranger, message.id).await), Code::NotFound);
        assert_eq!(refusal(rules.message(&stranger, message.id).await), Code::NotFound);
        assert_eq!(refusal(rules.delete(&stranger, message.id).await), Code::NotFound);
        assert_eq!(refusal(rules.unread_count(&stranger, direct).await), Code::NotFound);
        assert_eq!(refusal(rules.conversation(&stranger, direct).await), Code::NotFound);
        assert_eq!(refusal(replica.tries(&stranger, direct, "hi", None).await), Code::NotFound);
    }
    let public = replica.says(&alice, ConversationId::LOBBY, "hi").await;
    assert_eq!(refusal(rules.mark_read(&bob, public.id).await), Code::Forbidden);
}
