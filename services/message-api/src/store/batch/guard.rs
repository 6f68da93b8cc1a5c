//! What `make guard` counts of a commit: planning it, writing its rows, encoding its events.

use std::collections::HashSet;

use ::guard::measure;
use chat_core::{Change, ChangeKind, Event};
use prost::Message as _;
use switchboard_proto::v1;
use time::OffsetDateTime;

use super::*;
use crate::store::{
    post::tests::{post, user},
    script::List,
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
    let held = Held {
        heads: (0..10).map(|n| (conversation(n), Seq(1_000))).collect(),
        deleted: HashSet::new(),
        taken: HashSet::new(),
        known: HashMap::new(),
        id_step: 1,
        is_raised: false,
    };
    let new = measure("commit: plan 100 posts", || {
        let keys: Vec<_> = posts.iter().map(Post::dedup_key).collect();
        let verdicts = verdicts(&posts, &keys, &held);
        with_seqs(&posts, &keys, &verdicts, held.heads)
    });
    assert_eq!(new.len() as u64, POSTS);
    let rows = measure("commit: write 100 rows", || List(&new).to_string());
    assert_eq!(rows.matches("),(").count() as u64, POSTS - 1);
    let message = Message { created_at: OffsetDateTime::UNIX_EPOCH, ..new[0].message.clone() };
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
