//! Files go with the last message that names them, and nothing lies there that does not count.

use std::{collections::BTreeMap, fs, time::Duration};

use bytes::Bytes;
use chat_core::{Caller, Chat, Code, ConversationId, Media, Message, model::NewMessage};
use futures_util::future::join_all;
use message_api::media::Library;
use sqlx::{ConnectOptions, Executor};

use crate::support::{Replica, World, new_message, refusal, text};

const LOBBY: ConversationId = ConversationId::LOBBY;

/// Long enough for an upload.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A PNG's header, and some bytes.
fn png() -> Bytes {
    let mut content = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01".to_vec();
    content.resize(5_000, 7);
    content.into()
}

async fn upload(library: &Library, who: &Caller) -> String {
    library.put(who, png()).await.expect("takes it")
}

async fn posts(replica: &Replica, who: &Caller, words: &str, media: &[&String]) -> Message {
    let media = media.iter().map(|url| (*url).clone()).collect();
    let message = NewMessage { media, ..new_message(LOBBY, words, None) };
    replica.rules.post(who, message, None).await.expect("posts")
}

/// Is the file there, after a round?
async fn is_there(library: &Library, url: &str) -> bool {
    library.clean(HOUR).await.expect("cleans");
    match library.get(url.strip_prefix("/media/").expect("a URL of ours")).await {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal.code(), Code::NotFound);
            false
        }
    }
}

/// What lies there is what has a row, and counts as its owner's. Returns how many that are.
async fn all_counts(world: &World) -> usize {
    let mut database = world.database.connect().await.expect("connects");
    let rows: Vec<(String, u64, u64)> =
        sqlx::query_as("SELECT id, owner_id, CAST(GREATEST(size, 4096) AS UNSIGNED) FROM media")
            .fetch_all(&mut database)
            .await
            .expect("rows");
    let used: Vec<(u64, u64)> =
        sqlx::query_as("SELECT owner_id, bytes FROM media_use WHERE bytes > 0")
            .fetch_all(&mut database)
            .await
            .expect("rows");
    let mut counted = BTreeMap::<u64, u64>::new();
    for (_, owner, weight) in &rows {
        *counted.entry(*owner).or_default() += weight;
    }
    assert_eq!(counted, used.into_iter().collect());
    let mut known: Vec<_> = rows.into_iter().map(|(id, ..)| id).collect();
    let mut files = names(world);
    known.sort();
    files.sort();
    assert_eq!(known, files);
    files.len()
}

fn names(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.files()).expect("files");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("ASCII"))
        .collect()
}

#[tokio::test]
async fn a_file_goes_with_the_last_message_of_its_owner_that_names_it() {
    let world = World::new().await;
    let replica = world.replica();
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let library = world.library_with(&replica, 20_000);
    let (one, other) = (upload(&library, &alice).await, upload(&library, &alice).await);
    let first = posts(&replica, &alice, "look", &[&one, &other]).await;
    let link = format!("![x]({one}) and ![again]({one})");
    let second = posts(&replica, &alice, &link, &[]).await;
    let quote = posts(&replica, &bob, &format!("> https://chat.example{one}"), &[]).await;

    replica.rules.delete(&alice, first.id).await.expect("deletes");
    assert!(!is_there(&library, &other).await, "nothing names it any more");
    assert!(is_there(&library, &one).await, "a message links to it");
    replica.rules.delete(&bob, quote.id).await.expect("deletes");
    assert!(is_there(&library, &one).await, "who is not its owner removes nothing");
    let link = format!("> {one}");
    posts(&replica, &bob, &link, &[]).await;
    replica.rules.delete(&alice, second.id).await.expect("deletes");
    assert!(!is_there(&library, &one).await, "and keeps nothing");

    // There is room again, and what is gone can't be sent.
    for _ in 0..4 {
        upload(&library, &alice).await;
    }
    assert_eq!(refusal(library.put(&alice, png()).await), Code::PayloadTooLarge);
    let gone = NewMessage { media: vec![one], ..new_message(LOBBY, "look", None) };
    assert_eq!(refusal(replica.rules.post(&alice, gone, None).await), Code::InvalidMedia);
    assert_eq!(all_counts(&world).await, 4);
}

#[tokio::test]
async fn an_edit_takes_the_files_with_it_that_it_cuts_out() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    let mut urls = Vec::new();
    for _ in 0..3 {
        urls.push(upload(&library, &alice).await);
    }
    let [attached, linked, later] = &urls[..] else { panic!("three") };
    let words = format!("![a]({linked})");
    let message = posts(&replica, &alice, &words, &[attached]).await;
    let edit = async |words: &str| {
        replica.rules.edit(&alice, message.id, text(words)).await.expect("edits");
        let mut there = Vec::new();
        for url in &urls {
            there.push(is_there(&library, url).await);
        }
        there
    };
    assert_eq!(edit(&format!("{words} {later}")).await, [true, true, true]);
    assert_eq!(edit(later).await, [true, false, true]);
    assert_eq!(edit("nothing").await, [true, false, false]);
    replica.rules.delete(&alice, message.id).await.expect("deletes");
    assert!(!is_there(&library, attached).await);
    assert_eq!(all_counts(&world).await, 0);
}

#[tokio::test]
async fn what_no_message_named_yet_waits_for_it_and_stays_without_its_owner() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    let (named, unnamed) = (upload(&library, &alice).await, upload(&library, &alice).await);
    let message = posts(&replica, &alice, "look", &[&named]).await;
    library.clean(Duration::ZERO).await.expect("cleans");
    replica.rules.delete_account(alice.user().expect("a user")).await.expect("deletes");
    library.clean(Duration::ZERO).await.expect("cleans");
    assert!(is_there(&library, &named).await && is_there(&library, &unnamed).await);
    let bob = replica.user("bob").await;
    assert_eq!(replica.rules.message(&bob, message.id).await.map(|m| m.media), Ok(vec![named]));
    assert_eq!(all_counts(&world).await, 2);
}

#[tokio::test]
async fn what_was_uploaded_before_mentions_were_kept_stays() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    let url = upload(&library, &alice).await;
    let mut database = world.database.connect().await.expect("connects");
    database.execute("UPDATE media SET state = 0").await.expect("goes back");
    let message = posts(&replica, &alice, "look", &[&url]).await;
    replica.rules.delete(&alice, message.id).await.expect("deletes");
    assert!(is_there(&library, &url).await);
}

#[tokio::test]
async fn an_upload_that_was_cut_off_counts_until_it_is_removed() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library_with(&replica, 10_000);
    // A replica dies: with the bytes there, half there, or not.
    upload(&library, &alice).await;
    let half = upload(&library, &alice).await.replace("/media/", "");
    fs::rename(world.files().join(&half), world.files().join(format!("{half}#1")))
        .expect("renames");
    let mut database = world.database.connect().await.expect("connects");
    let cut_off = "UPDATE media SET state = 2";
    database.execute(cut_off).await.expect("cut off");
    assert_eq!(refusal(library.get(&half).await.map(|_| ())), Code::NotFound);
    library.clean(HOUR).await.expect("cleans");
    assert_eq!(names(&world).len(), 2, "it may be under way");
    assert_eq!(refusal(library.put(&alice, png()).await), Code::PayloadTooLarge);

    let old = "UPDATE media SET created_at = created_at - INTERVAL 2 HOUR";
    database.execute(old).await.expect("waits");
    // Any number of replicas may look at once.
    let others: Vec<_> = (0..3).map(|_| world.library(&world.replica())).collect();
    let rounds = join_all(others.iter().map(|library| library.clean(HOUR))).await;
    assert!(rounds.iter().all(Result::is_ok), "{rounds:?}");
    assert_eq!(all_counts(&world).await, 0);
    upload(&library, &alice).await;
    upload(&library, &alice).await;
    assert_eq!(all_counts(&world).await, 2);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_file_is_stored_leaves_nothing_uncounted() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    for micros in (0..40).map(|n| n * 250) {
        let wait = Duration::from_micros(micros);
        let _ = tokio::time::timeout(wait, library.put(&alice, png())).await;
    }
    replica.settles().await;
    let kept = all_counts(&world).await;
    assert!(kept > 0, "what was begun goes on");
}

#[tokio::test]
async fn what_can_not_be_removed_counts_and_is_tried_again() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library_with(&replica, 10_000);
    let url = upload(&library, &alice).await;
    let file = world.files().join(url.replace("/media/", ""));
    // A directory can't be removed as a file.
    fs::remove_file(&file).expect("removes");
    fs::create_dir(&file).expect("makes");
    fs::write(file.join("x"), "x").expect("writes");
    let message = posts(&replica, &alice, "look", &[&url]).await;
    replica.rules.delete(&alice, message.id).await.expect("deletes");
    library.clean(HOUR).await.expect("cleans what it can");
    upload(&library, &alice).await;
    assert_eq!(refusal(library.put(&alice, png()).await), Code::PayloadTooLarge);
    assert!(!is_there(&library, &url).await, "nobody can have it all the same");
    fs::remove_dir_all(&file).expect("removes");
    library.clean(HOUR).await.expect("cleans");
    upload(&library, &alice).await;
    assert_eq!(all_counts(&world).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_removes_the_file_at_once() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    let keeper = tokio::task::JoinSet::from_iter([library.clone().keep_clean()]);
    for _ in 0..5 {
        let url = upload(&library, &alice).await;
        let message = posts(&replica, &alice, "look", &[&url]).await;
        replica.rules.delete(&alice, message.id).await.expect("deletes");
        let refused = library.get(url.strip_prefix("/media/").expect("a URL")).await;
        assert_eq!(refusal(refused.map(|_| ())), Code::NotFound);
        let gone = async {
            while !names(&world).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("is gone");
    }
    drop(keeper);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_and_deletions_at_once_leave_what_living_messages_name() {
    let world = World::new().await;
    let replicas = [world.replica(), world.replica()];
    let alice = replicas[0].user("alice").await;
    let library = world.library(&replicas[0]);
    let mut rooms = Vec::new();
    for title in ["one", "two", "three", "four"] {
        rooms.push(replicas[0].room(&alice, title).await);
    }
    for _ in 0..15 {
        let url = upload(&library, &alice).await;
        let by_turns = async |n: usize, room: ConversationId| {
            let replica = &replicas[n % 2];
            let media = vec![url.clone()];
            let message = NewMessage { media, ..new_message(room, "look", None) };
            let posted = replica.rules.post(&alice, message, None).await.ok()?;
            replica.rules.delete(&alice, posted.id).await.expect("deletes");
            Some(())
        };
        let kept = posts(&replicas[0], &alice, &url, &[]).await;
        join_all(rooms.iter().enumerate().map(|(n, room)| by_turns(n, *room))).await;
        assert!(is_there(&library, &url).await);
        replicas[0].rules.delete(&alice, kept.id).await.expect("deletes");
        assert!(!is_there(&library, &url).await);
    }
    assert_eq!(all_counts(&world).await, 0);
}

#[tokio::test]
async fn an_image_that_decodes_to_gigabytes_is_not_stored() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    let mut bomb = png().to_vec();
    bomb[16..24].copy_from_slice(b"\0\0\x3e\x80\0\0\x3e\x80");
    let refused = library.put(&alice, bomb.into()).await.expect_err("refused");
    assert_eq!(refused.code(), Code::PayloadTooLarge);
    assert!(refused.message().contains("16000 x 16000"), "{refused}");
    assert_eq!(all_counts(&world).await, 0);
}
