//! What is counted by whose it is, by every way in: REST, sockets that come and go, new rooms.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Arena, Person, PlainSocket, Refused, SocketIo, refused};
use journeys::rest::Answer;
use local_stack::Options;
use serde_json::{Value, json};

use super::{Behind, arena, limited, site, too_much, with};

const HERE: &str = "203.0.113.7";
const ELSEWHERE: &str = "203.0.113.8";

/// One a second, kept over ten seconds: ten at once.
const ONE: [(&str, &str); 2] = [("MESSAGES_PER_SECOND", "1"), ("QUERIES_PER_SECOND", "50")];

/// Posts this often as fast as it can, by `post`. Answers how many were stored; a refusal says when
/// to go on.
async fn stored(times: usize, post: impl AsyncFn(usize) -> Answer) -> usize {
    let mut stored = 0;
    for n in 0..times {
        let answer = post(n).await;
        match answer.status {
            200 => stored += 1,
            _ => assert!(too_much(&answer) <= 2, "{answer:?}"),
        }
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_has_a_budget_for_each_user_and_one_for_the_guests_of_an_address() -> Result<()> {
    let arena = arena("rest-flood", &ONE, &[]).await?;
    let site = site(&arena, 1);
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let guest = async |from: &str, n: usize, credential: Option<&str>| {
        let post = site.post("/api/v1/messages").behind(from);
        let post = match credential {
            Some(dead) => post.header("authorization", format!("Bearer {dead}")).cookie("x"),
            None => post,
        };
        post.json(&json!({"author": format!("guest{n}"), "content": "hi"})).await
    };
    // A slow machine gives some back meanwhile.
    let burst = 10..16;
    let first = stored(20, async |n| guest(HERE, n, None).await).await;
    assert!(burst.contains(&first), "{first} stored");
    // Neither another name, nor a credential that is worth nothing, helps.
    let more = stored(20, async |n| guest(HERE, n, Some(&format!("dead.{n}.token"))).await).await;
    assert!(more < 6, "{more} stored");

    // A user has one of his own, by whichever dialect and from wherever he comes.
    let user = async |who: &Person<'_>, n: usize| match n % 2 {
        0 => {
            let post = site.post("/api/conversations/lobby").behind(HERE).bearer(&who.token);
            post.json(&json!({"text": "hi"})).await
        }
        _ => {
            let post = site.post("/api/v1/messages").behind(ELSEWHERE).bearer(&who.token);
            post.json(&json!({"author": who.name, "content": "hi"})).await
        }
    };
    let hers = stored(20, async |n| user(&alice, n).await).await;
    assert!(burst.contains(&hers), "{hers} stored");
    let his = stored(20, async |n| user(&bob, n).await).await;
    assert!(burst.contains(&his), "{his} stored");
    let there = stored(20, async |n| guest(ELSEWHERE, n, None).await).await;
    assert!(burst.contains(&there), "{there} stored");
    // Who may post nothing may still read.
    let read = site.get("/api/conversations/lobby").behind(HERE).bearer(&alice.token).await;
    assert_eq!(read.status, 200, "{}", read.text);
    assert!(limited(&arena.stack.urls().api_admin(1), "messages").await? > 20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_makes_so_many_rooms_by_whatever_way() -> Result<()> {
    let options = Options { apis: 2, ..Arena::options("room-flood")? };
    let arena = Arena::own(with(options, &[("ROOMS_PER_HOUR", "4")], &[])).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let by_rest = async |n: usize, who: &Person<'_>| {
        let title = json!({"title": arena.unique("room")});
        site(&arena, n).post("/api/conversations/").bearer(&who.token).json(&title).await
    };
    let socket = alice.enters(1).await?;
    for n in [1, 2] {
        assert_eq!(by_rest(n, &alice).await.status, 200);
        socket.creates_room(&arena.unique("room")).await?;
    }
    for n in [1, 2] {
        let answer = by_rest(n, &alice).await;
        assert_eq!((answer.status, answer.text_of("status")), (429, "rate limited".to_owned()));
        assert!(
            answer.header("retry-after").is_some_and(|s| s.parse().is_ok_and(|s: u64| s <= 900))
        );
        let answer = socket.asks("create room", json!({"name": arena.unique("room")})).await?;
        assert_eq!(refused(&answer)?, "rate_limited");
        ensure!(answer["retryAfterMs"].as_u64().is_some_and(|ms| ms <= 900_000), "{answer}");
    }
    assert_eq!(by_rest(1, &bob).await.status, 200, "somebody else");
    assert!(limited(&arena.stack.urls().api_admin(1), "rooms").await? >= 1);
    Ok(())
}

/// Says this much at once; answers how much was stored.
async fn says(socket: &SocketIo, room: &str, name: &str, times: usize) -> Result<usize> {
    let join = json!({"roomId": room, "user": name, "quiet": true});
    ensure!(socket.asks("join room", join).await?["success"] == true);
    let line = json!({"roomId": room, "user": name, "text": "flood"});
    let acks: Vec<_> =
        (0..times).map(|_| socket.emit_with_ack("chat message", line.clone())).collect();
    let mut stored = 0;
    for ack in acks {
        stored += usize::from(ack.answer().await?["success"] == true);
    }
    Ok(stored)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_again_finds_the_budget_that_he_left() -> Result<()> {
    let arena = arena("reconnects", &[], &ONE).await?;
    let alice = arena.newcomer("alice").await?;
    // Four sockets' worth: forty at once, and four a second.
    let (mut user, mut guests) = (0, 0);
    for n in 0..12 {
        let socket = alice.enters(1).await?;
        user += says(&socket, "lobby", &alice.name, 14).await?;
        let guest = arena.gateway(1).header("x-forwarded-for", HERE).enters().await?;
        guests += says(&guest, "lobby", &format!("guest{n}"), 14).await?;
    }
    assert!((40..80).contains(&user), "{user} stored");
    assert!((40..80).contains(&guests), "{guests} stored");
    let elsewhere = arena.gateway(1).header("x-forwarded-for", ELSEWHERE).enters().await?;
    assert_eq!(says(&elsewhere, "lobby", "guest", 14).await?, 10, "somebody else");
    Ok(())
}

/// A `connect_error` of too much, which says so to programs too.
#[track_caller]
fn no_entry(why: &Value) -> Duration {
    assert_eq!(why["data"]["code"], "rate_limited", "{why}");
    let ms = why["data"]["retryAfterMs"].as_u64().expect("it says when");
    assert!((1..=10_000).contains(&ms), "{why}");
    Duration::from_millis(ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_in_is_counted_and_so_is_each_page_of_what_was_missed() -> Result<()> {
    let arena = arena("entries", &[], &[("QUERIES_PER_SECOND", "1")]).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let room = {
        let maker = bob.enters(2).await?;
        let room = maker.makes_room(&arena.unique("room")).await?;
        maker.joins(&room).await?;
        maker.says(&room, "first").await?;
        room
    };
    // Forty for a user: twenty who come in and read one page.
    let url = format!("{}/ws/conversations/{room}?since=0", arena.stack.urls().gateway(1));
    let url = format!("{url}&token={}", alice.token);
    let (mut replayed, mut told) = (0, None);
    for _ in 0..60 {
        match PlainSocket::open("alice", &url, &[]).await {
            Ok(live) => {
                live.hears("message", |_| true).await?;
                replayed += 1;
            }
            Err(Refused::Http { status: 429, body }) => {
                told = Some(body);
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let body = told.context("nobody was ever refused")?;
    ensure!(body.contains("rate_limited"), "{body}");
    assert!((20..40).contains(&replayed), "{replayed} replays");
    match alice.enters(1).await {
        Err(Refused::ConnectError(why)) => drop(no_entry(&why)),
        other => panic!("{other:?}"),
    }
    bob.enters(1).await?;
    Ok(())
}
