//! The way to MySQL is cut in the middle of commits: what became of them is unknown to everybody
//! but the database.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use harness::{Arena, Chatter};
use journeys::stored;
use local_stack::{Link, Weather};
use tokio::time::sleep;

use crate::{
    options, room_of,
    talk::{Key, Talk, talks},
};

/// How often the link is cut.
const CUTS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_stored_once_or_refused() -> Result<()> {
    let arena = Arena::own(options("commits")?).await?;
    let mut people = Vec::new();
    for n in 0..8 {
        people.push(arena.newcomer("talker").await?.enters(1 + n % 2).await?);
    }
    let room = room_of(&arena, &people.iter().collect::<Vec<_>>()).await?;
    let stop = AtomicBool::new(false);
    let cutting = async {
        for _ in 0..CUTS {
            sleep(Duration::from_millis(130)).await;
            arena.stack.straits().set(Link::ApiToDatabase(1), Weather::Cut);
            sleep(Duration::from_millis(20)).await;
            arena.stack.straits().set(Link::ApiToDatabase(1), Weather::Fair);
        }
        stop.store(true, Ordering::Relaxed);
        Ok(())
    };
    let talking = try_join_all(people.iter().enumerate().map(|(n, who)| {
        let key = if n < 6 { Key::Given } else { Key::Missing };
        talks(who, &room, key, Duration::ZERO, &stop)
    }));
    let (talked, ()) = tokio::try_join!(talking, cutting)?;
    let refused: usize = talked.iter().map(|talk| talk.refused).sum();
    assert!(refused > 0, "the cuts hit nothing");
    books_are_right(&arena, &room, &people, &talked).await
}

async fn books_are_right(
    arena: &Arena,
    room: &str,
    people: &[Chatter],
    talked: &[Talk],
) -> Result<()> {
    people[0].says(room, "last").await?;
    let rows = stored::posts(arena, room).await?;
    let seqs: Vec<_> = rows.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=rows.len() as u64).collect::<Vec<_>>(), "no seq is missing or doubled");
    let mut counts = HashMap::<&str, usize>::new();
    rows.iter().for_each(|(_, text)| *counts.entry(text).or_default() += 1);
    for text in talked.iter().flat_map(|talk| &talk.said) {
        let count = counts.remove(text.as_str()).unwrap_or_default();
        assert_eq!(count, 1, "{text} was acknowledged and is stored {count} times");
    }
    counts.remove("last").context("the last message")?;
    // The rest was refused, without a key, and its commit had gone through all the same.
    for (text, count) in counts {
        assert!(text.contains("Missing") && count == 1, "{text} is stored {count} times");
    }
    for person in people {
        person.reads("last").await?;
        let heard: Vec<_> = crate::heard_texts(person, room);
        let stored: Vec<_> = rows.iter().map(|(_, text)| text.clone()).collect();
        assert_eq!(heard, stored, "{} heard what is stored", person.name);
    }
    Ok(())
}
