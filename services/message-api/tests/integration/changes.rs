//! What those who missed something are told, and pages of history.

use chat_core::{
    Caller, ChangeKind, Chat, Code, ConversationId, MessageId, Seq, Topic,
    model::{Peer, Span},
};

use crate::support::{Replica, World, guest, refusal, seqs_to, text};

/// A change in few words.
fn brief(kind: &ChangeKind) -> String {
    match kind {
        ChangeKind::Posted(message) => format!("posted {}", message.text),
        ChangeKind::Edited(message) => format!("edited {}", message.text),
        ChangeKind::Deleted { .. } => "deleted".into(),
        ChangeKind::Read { reader, .. } => format!("read by {}", reader.name),
        ChangeKind::Void => "void".into(),
    }
}

async fn direct(replica: &Replica) -> (Caller, Caller, ConversationId) {
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let direct = replica.rules.open_direct(&alice, Peer::Name(bob.name().clone())).await;
    (alice, bob, direct.expect("opens").id)
}

#[tokio::test]
async fn every_seq_has_one_change_and_tells_what_stands_now() {
    let world = World::new().await;
    let mut replica = world.replica();
    let (alice, bob, direct) = direct(&replica).await;
    let kept = replica.says(&alice, direct, "kept").await;
    let gone = replica.says(&alice, direct, "gone").await;
    let rules = &replica.rules;
    rules.edit(&alice, kept.id, text("kept, edited")).await.expect("edits");
    rules.edit(&alice, gone.id, text("gone, edited")).await.expect("edits");
    rules.mark_read(&bob, kept.id).await.expect("reads");
    rules.mark_read(&bob, gone.id).await.expect("reads");
    rules.delete(&alice, gone.id).await.expect("deletes");
    let expected = [
        "posted kept, edited",
        "void",
        "edited kept, edited",
        "void",
        "read by bob",
        "read by bob",
        "deleted",
    ];
    for page in [1, 2, 3, 7, 500] {
        let changes = replica.all_changes(direct, page).await;
        assert_eq!(changes.iter().map(|c| brief(&c.kind)).collect::<Vec<_>>(), expected);
        assert_eq!(changes.iter().map(|c| c.seq).collect::<Vec<_>>(), seqs_to(7));
    }
    let heads = replica.rules.heads(vec![direct, ConversationId::random()]).await;
    assert_eq!(heads, Ok(vec![(direct, Seq(7))]));
    let told = replica.published();
    let changes: Vec<_> = told.iter().filter(|p| p.topics != [Topic::Everyone]).collect();
    assert_eq!(changes.len(), 7);
    let users = [&alice, &bob].map(|who| Topic::User(who.user().expect("a user").id));
    assert!(changes.iter().all(|p| p.topics == [Topic::Conversation(direct), users[0], users[1]]));
}

#[tokio::test]
async fn nothing_is_after_the_head_and_nothing_in_an_unknown_conversation() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    replica.says(&alice, ConversationId::LOBBY, "hi").await;
    for since in [1, 2, u64::MAX] {
        assert_eq!(replica.rules.changes(ConversationId::LOBBY, Seq(since), 10).await, Ok(vec![]));
    }
    let unknown = replica.rules.changes(ConversationId::random(), Seq::START, 10).await;
    assert_eq!(refusal(unknown), Code::NotFound);
    assert_eq!(replica.rules.heads(vec![]).await, Ok(vec![]));
}

#[tokio::test]
async fn history_pages_in_both_directions_and_leaves_deleted_ones_out() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let lobby = ConversationId::LOBBY;
    let mut ids = Vec::new();
    for n in 1..=6 {
        ids.push(replica.says(&alice, lobby, &n.to_string()).await.id);
    }
    replica.rules.delete(&alice, ids[3]).await.expect("deletes");
    let page = async |span, limit| {
        let page = replica.rules.history(&guest("greta"), lobby, span, limit).await.expect("page");
        assert_eq!(page.head, Seq(7));
        page.messages.into_iter().map(|message| message.text).collect::<String>()
    };
    assert_eq!(page(Span::Newest, 2).await, "56");
    assert_eq!(page(Span::Newest, 0).await, "6", "at least one");
    assert_eq!(page(Span::Newest, u32::MAX).await, "12356");
    assert_eq!(page(Span::Offset(2), 2).await, "23");
    assert_eq!(page(Span::Before(ids[4]), 2).await, "23");
    assert_eq!(page(Span::Before(ids[3]), 9).await, "123", "also from a deleted one");
    assert_eq!(page(Span::After(ids[1]), 2).await, "35");
    assert_eq!(page(Span::After(ids[5]), 2).await, "");
    let unknown = Span::Before(MessageId(u64::MAX));
    let refused = replica.rules.history(&alice, lobby, unknown, 1).await;
    assert_eq!(refusal(refused.map(|page| page.head)), Code::NotFound);
}

#[tokio::test]
async fn only_the_author_edits_and_deletes_and_only_once() {
    let world = World::new().await;
    let replica = world.replica();
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let message = replica.says(&alice, ConversationId::LOBBY, "hi").await;
    let by_guest = replica.says(&guest("greta"), ConversationId::LOBBY, "hi").await;
    let rules = &replica.rules;
    assert_eq!(refusal(rules.edit(&bob, message.id, text("no")).await), Code::Forbidden);
    assert_eq!(refusal(rules.delete(&bob, message.id).await), Code::Forbidden);
    assert_eq!(refusal(rules.delete(&guest("greta"), by_guest.id).await), Code::Forbidden);
    let edited = rules.edit(&alice, message.id, text("ho")).await.expect("edits");
    assert_eq!((edited.id, edited.seq, edited.text.as_str()), (message.id, message.seq, "ho"));
    assert!(edited.edited_at >= Some(message.created_at));
    assert_eq!(rules.message(&bob, message.id).await, Ok(edited));
    assert_eq!(rules.delete(&alice, message.id).await, Ok(()));
    assert_eq!(refusal(rules.delete(&alice, message.id).await), Code::NotFound);
    assert_eq!(refusal(rules.edit(&alice, message.id, text("no")).await), Code::NotFound);
    assert_eq!(refusal(rules.message(&alice, message.id).await), Code::NotFound);
    let changes = replica.all_changes(ConversationId::LOBBY, 500).await;
    assert_eq!(changes.len(), 4, "refusals take no seq");
}
