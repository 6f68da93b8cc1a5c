//! What `make guard` counts of the feed: a post worded in each protocol, delivered to a room of
//! 100 sockets; who is in a large room compared with Redis.

use std::time::Instant;

use ::guard::measure;
use chat_core::process::Shutdown;
use chat_core::{ConversationId, Event, Listener, Render, Seq, SocketKey, Username};
use dialects::{
    chatto::render::Chatto, conversations::render::Conversations, messenger::render::Messenger,
    one_to_one::render::OneToOne, tinychat::render::Tinychat,
};

use super::{
    book::{Book, Compared},
    hub::{Hub, Outcome},
    testing::post,
};
use crate::{
    presence::{Present, weight},
    sockets::guard::crowd,
};

/// Sockets in the room.
const CROWD: usize = 100;

/// Posts before those that count: what grows by doubling has grown.
const BEFORE: u64 = 80;

/// Members of the place that is compared.
const MEMBERS: usize = 1_000;

const RENDERS: [&dyn Render; 5] = [&Tinychat, &Conversations, &OneToOne, &Messenger, &Chatto];

#[test]
#[ignore = "counted by `make guard`"]
fn guard_words() {
    let event = Event::Change(post(ConversationId::LOBBY, 1, 100));
    for render in RENDERS {
        let name = format!("feed: word a post in {}", render.protocol());
        let frames = measure(&name, || render.render(&event, 0));
        assert!(!frames.is_empty(), "{name}");
    }
}

#[tokio::test]
#[ignore = "counted by `make guard`"]
async fn guard_deliveries() {
    let tasks = Shutdown::new();
    let (mut peers, sinks) = crowd(CROWD, &tasks).await;
    let hub = Hub::starting_at(ConversationId::LOBBY, Seq(0));
    for (number, sink) in (1..).zip(sinks) {
        let key = SocketKey { gateway: 1, number };
        let listener = Listener { key, user: None, render: &Chatto, sink };
        assert_eq!(hub.join(number, listener, Seq(0)), Outcome::Done);
    }
    for seq in 1..=BEFORE {
        let change = post(ConversationId::LOBBY, seq, 100);
        let outcome = if seq < BEFORE {
            hub.offer(change)
        } else {
            measure("feed: deliver a post to 100 sockets", || hub.offer(change))
        };
        assert_eq!(outcome, Outcome::Done);
        for peer in &mut peers {
            peer.hears(&format!("\"seq\":{seq}}}")).await;
        }
    }
    tasks.begin();
}

#[test]
#[ignore = "counted by `make guard`"]
fn guard_books() {
    let name = |number| Username::parse(&format!("user-{number}")).unwrap();
    let present = |n| Present { field: format!("user-{n}"), name: name(n), came: None };
    let listed = |count| (0..count).map(present).collect::<Vec<_>>();
    let all = listed(MEMBERS);
    let mut book = Book::default();
    assert!(matches!(book.compare(all.clone(), true, |_| None), Compared::Loaded(_)));
    assert!(book.agrees(all.iter().map(|one| weight(&one.field)).sum()));
    let newcomers: Vec<_> = (MEMBERS..MEMBERS + 100).map(name).collect();
    let came = Instant::now();
    let news = measure("feed: note 100 who come", || {
        let enters = |name: &Username| book.enters(name.as_str(), name, came, |_| None);
        newcomers.iter().filter_map(enters).count()
    });
    assert_eq!(news, newcomers.len());
    newcomers.iter().for_each(|name| drop(book.leaves(name.as_str(), name)));
    let compared = measure("feed: compare 1,000 members", || book.compare(all, true, |_| None));
    assert_eq!(compared, Compared::Mended(Vec::new()));
}
