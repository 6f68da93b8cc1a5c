//! What `make guard` counts of a commit: planning it, building its rows, encoding its events.

use ::guard::measure;
use chat_core::{Change, ChangeKind, Event};
use prost::Message as _;
use switchboard_proto::v1;
use time::OffsetDateTime;

use super::*;
use crate::store::{
    insert::rows,
    post::tests::{post, user},
};

/// Posts in the commit, each tenth in a conversation.
const POSTS: u64 = 100;

#[test]
#[ignore = "counted by `make guard`"]
fn guard() {
    let conversation = |number| ConversationId::from_raw(2 + number % 10);
    let posts: Vec<_> = (0..POSTS)
        .map(|n| Post { conversation: conversation(n), ..post(user(n), &format!("key-{n}")) })
        .collect();
    let heads: HashMap<_, _> = (0..10).map(|n| (conversation(n), Seq(1_000))).collect();
    let (messages, refused) = measure("commit: plan 100 posts", || {
        let keys: Vec<_> = posts.iter().map(Post::dedup_key).collect();
        let plan = Plan::new(&posts, &keys, &HashMap::new());
        with_seqs(&plan.fresh, heads)
    });
    assert_eq!((messages.len() as u64, refused.len()), (POSTS, 0));
    measure("commit: build 100 rows", || drop(rows(&messages)));
    let message = Message { created_at: OffsetDateTime::UNIX_EPOCH, ..messages[0].message.clone() };
    let change = Change {
        conversation: message.conversation,
        seq: message.seq,
        origin: None,
        kind: ChangeKind::Posted(Box::new(message)),
    };
    let event = Event::Change(change);
    let bytes =
        measure("commit: encode a post's event", || v1::Event::from(&event).encode_to_vec());
    assert!(!bytes.is_empty());
}
