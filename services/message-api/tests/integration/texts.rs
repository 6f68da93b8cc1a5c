//! What is typed comes back exactly.

use chat_core::{Chat, ConversationId};

use crate::support::{World, text};

const TEXTS: &[&str] = &[
    "👋🏽 👨‍👩‍👧‍👦 𝕏 🇪🇺",
    "שלום \u{202e}עולם\u{202c} مرحبا",
    "a\0b\0",
    "\u{10ffff}\u{1}\u{7f}\u{feff}",
    "  leading stays, \t tabs\r\nand lines\n\nstay",
    "trailing \\",
    "\\' \" ` % _ \\0 \\Z ; -- /* */",
    "'); DROP TABLE messages; --",
    "<script>alert(1)</script> &amp; <b>",
    "e\u{301} is not \u{e9}",
    "?, ?, {} %s ${x} {{y}}",
];

#[tokio::test]
async fn texts_are_kept_exactly_when_posted_and_when_edited() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let room = replica.room(&alice, "<b>'\"; DROP TABLE rooms; -- 👋").await;
    for wanted in TEXTS {
        let posted = replica.says(&alice, room, wanted).await;
        assert_eq!(&posted.text, wanted);
        let edited = replica.says(&alice, room, "x").await;
        replica.rules.edit(&alice, edited.id, text(wanted)).await.expect("edits");
        for id in [posted.id, edited.id] {
            assert_eq!(&replica.rules.message(&alice, id).await.expect("there").text, wanted);
        }
    }
    let twice: Vec<_> = TEXTS.iter().flat_map(|text| [*text, *text]).collect();
    assert_eq!(replica.texts(&alice, room).await, twice);
    let room = replica.rules.conversation(&alice, room).await.expect("the room");
    assert_eq!(room.title, "<b>'\"; DROP TABLE rooms; -- 👋");
}

#[tokio::test]
async fn the_longest_text_fits_in_its_widest_characters() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let longest = "𝕏".repeat(4_000);
    let posts = (0..100).map(|_| replica.tries(&alice, ConversationId::LOBBY, &longest, None));
    for posted in futures_util::future::join_all(posts).await {
        assert_eq!(posted.expect("posts").text, longest);
    }
}
