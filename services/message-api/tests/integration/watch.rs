//! Watching everything durable: over cuts, dead replicas and late commits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chat_core::{Code, ConversationId, process::Backoff};
use futures_util::future::join_all;
use message_api::store::{Log, Store, database};
use rand::RngExt;
use sqlx::{ConnectOptions, Executor};
use switchboard_proto::{
    status::to_error,
    v1::{self, change::Kind, watch_events_request::Since},
};
use tokio::task::JoinSet;
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt;

use crate::{
    process::{Client, Program, command, post, register},
    support::World,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn from(from: v1::WatchFrom) -> Option<Since> {
    Some(Since::From(from.into()))
}

async fn watch(
    client: &mut Client,
    conversation_ids: &[&str],
    since: Option<Since>,
) -> Result<Streaming<v1::WatchEventsResponse>, Status> {
    let conversation_ids = conversation_ids.iter().map(ToString::to_string).collect();
    let request = v1::WatchEventsRequest { conversation_ids, since };
    client.watch_events(request).await.map(tonic::Response::into_inner)
}

async fn next(stream: &mut Streaming<v1::WatchEventsResponse>) -> v1::WatchEventsResponse {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
    message.expect("no error").expect("goes on")
}

/// Reads until so many changes have come. Them, and the cursor behind them.
async fn hears(
    stream: &mut Streaming<v1::WatchEventsResponse>,
    count: usize,
) -> (Vec<v1::Change>, String) {
    let (mut changes, mut cursor) = (Vec::new(), String::new());
    let until = Instant::now() + PATIENCE;
    while changes.len() < count {
        assert!(Instant::now() < until, "only {} came of {count}", changes.len());
        let message = next(stream).await;
        changes.extend(message.changes);
        cursor = message.cursor;
    }
    (changes, cursor)
}

fn texts(changes: &[v1::Change]) -> Vec<&str> {
    let text = |change: &v1::Change| match &change.kind {
        Some(Kind::Posted(message)) => Some(message.text.clone()),
        _ => None,
    };
    assert!(changes.iter().all(|change| text(change).is_some()), "only posts: {changes:?}");
    changes
        .iter()
        .filter_map(|change| match &change.kind {
            Some(Kind::Posted(message)) => Some(message.text.as_str()),
            _ => None,
        })
        .collect()
}

async fn room(client: &mut Client, caller: &v1::Party, title: &str) -> String {
    let request = v1::CreateRoomRequest { caller: Some(caller.clone()), title: title.into() };
    let made = client.create_room(request).await.expect("makes a room").into_inner();
    made.conversation.expect("a room").id
}

fn post_in(caller: &v1::Party, room: &str, text: &str) -> v1::PostMessageRequest {
    v1::PostMessageRequest { conversation_id: room.into(), ..post(caller, text) }
}

/// What one watcher was told, by all its streams.
#[derive(Default)]
struct Book {
    seqs: BTreeMap<String, BTreeSet<u64>>,
    cuts: u32,
}

impl Book {
    fn has(&self, heads: &[v1::Head]) -> bool {
        heads.iter().all(|head| {
            let count = self.seqs.get(&head.conversation_id).map_or(0, BTreeSet::len);
            count as u64 == head.seq
        })
    }
}

/// Watches by one of these, cuts itself off, goes on by another, and so on.
async fn watch_and_cut(
    clients: Arc<Mutex<Vec<Client>>>,
    chosen: Vec<String>,
    book: Arc<Mutex<Book>>,
) {
    let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
    let (mut cursor, mut turn) = (None, 0);
    loop {
        turn += 1;
        let mut client = {
            let clients = clients.lock().expect("a lock");
            clients[turn % clients.len()].clone()
        };
        let since =
            cursor.clone().map_or(from(v1::WatchFrom::Beginning), |c| Some(Since::Cursor(c)));
        let Ok(mut stream) = watch(&mut client, &chosen, since).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // In this stream each conversation goes on by one.
        let mut places = BTreeMap::<String, u64>::new();
        let until_cut = rand::rng().random_range(2..10);
        for _ in 0..until_cut {
            let Ok(Some(message)) = stream.message().await else { break };
            let mut book = book.lock().expect("a lock");
            for change in message.changes {
                let place = places.entry(change.conversation.clone()).or_insert(change.seq - 1);
                assert_eq!(change.seq, *place + 1, "order in {}", change.conversation);
                *place = change.seq;
                book.seqs.entry(change.conversation).or_default().insert(change.seq);
            }
            cursor = Some(message.cursor);
        }
        book.lock().expect("a lock").cuts += 1;
    }
}

/// Posts, edits and deletes in many rooms; what fails is left.
async fn write(mut client: Client, caller: v1::Party, rooms: Vec<String>, writer: usize) {
    for n in 0..60 {
        let room = &rooms[(n * 7 + writer) % rooms.len()];
        let text = format!("{writer}-{n}");
        let posted = client.post_message(post_in(&caller, room, &text)).await;
        let Some(message) = posted.ok().and_then(|answer| answer.into_inner().message) else {
            continue;
        };
        let (caller, message_id) = (Some(caller.clone()), message.id);
        match n % 5 {
            0 => {
                let text = format!("{text}!");
                let _ =
                    client.edit_message(v1::EditMessageRequest { caller, message_id, text }).await;
            }
            1 => {
                let _ =
                    client.delete_message(v1::DeleteMessageRequest { caller, message_id }).await;
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_while_many_write_over_two_replicas_and_one_is_killed() {
    let world = World::empty();
    let one = Program::start(&world);
    let two = Program::start(&world);
    let mut client = one.client();
    let alice = register(&mut client, "alice").await;
    let mut rooms = vec!["lobby".to_owned()];
    for n in 0..6 {
        rooms.push(room(&mut client, &alice, &format!("room {n}")).await);
    }
    let clients = Arc::new(Mutex::new(vec![one.client(), two.client()]));
    let (all, some) = (Arc::<Mutex<Book>>::default(), Arc::<Mutex<Book>>::default());
    let chosen = rooms[1..4].to_vec();
    let mut ears = JoinSet::new();
    ears.spawn(watch_and_cut(Arc::clone(&clients), Vec::new(), Arc::clone(&all)));
    ears.spawn(watch_and_cut(Arc::clone(&clients), chosen.clone(), Arc::clone(&some)));

    let mut writers = JoinSet::new();
    for writer in 0..10 {
        let client = if writer % 2 == 0 { one.client() } else { two.client() };
        writers.spawn(write(client, alice.clone(), rooms.clone(), writer));
    }
    while all.lock().expect("a lock").seqs.values().map(BTreeSet::len).sum::<usize>() < 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    two.signal("KILL");
    assert_eq!(two.exit_code(), None);
    let again = Program::start(&world);
    clients.lock().expect("a lock")[1] = again.client();
    for writer in 10..14 {
        writers.spawn(write(again.client(), alice.clone(), rooms.clone(), writer));
    }
    writers.join_all().await;

    let heads = client.get_heads(v1::GetHeadsRequest { conversation_ids: rooms.clone() }).await;
    let heads = heads.expect("heads").into_inner().heads;
    assert_eq!(heads.len(), rooms.len());
    let of_some: Vec<_> =
        heads.iter().filter(|head| chosen.contains(&head.conversation_id)).cloned().collect();
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(ended) = ears.try_join_next() {
            ended.expect("in order");
        }
        if all.lock().expect("a lock").has(&heads) && some.lock().expect("a lock").has(&of_some) {
            break;
        }
        assert!(Instant::now() < until, "changes are missing");
        backoff.wait().await;
    }
    let some = some.lock().expect("a lock");
    assert_eq!(some.seqs.len(), chosen.len(), "only what was chosen");
    assert!(all.lock().expect("a lock").cuts > 0, "it went on from cursors");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_committed_after_later_ones_is_told_also_to_who_comes_back() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let alice = register(&mut client, "alice").await;
    let late = room(&mut client, &alice, "late").await;
    let id: ConversationId = late.parse().expect("an id");

    // As a replica would that has lost its core right before the commit.
    let mut connection = world.database.connect().await.expect("connects");
    connection.execute("BEGIN").await.expect("begins");
    sqlx::query("UPDATE conversations SET head = head + 1 WHERE id = ?")
        .bind(id.raw())
        .execute(&mut connection)
        .await
        .expect("holds");
    sqlx::query(
        "INSERT INTO messages (conversation_id, seq, author_name, text, created_at) \
         VALUES (?, 1, 'greta', 'late', UTC_TIMESTAMP(3))",
    )
    .bind(id.raw())
    .execute(&mut connection)
    .await
    .expect("stores");

    // One begins before the later ones, one in between and from now.
    let mut early =
        watch(&mut client, &[], from(v1::WatchFrom::Beginning)).await.expect("a stream");
    for n in 0..20 {
        client.post_message(post(&alice, &n.to_string())).await.expect("posts");
    }
    let (_, cursor) = hears(&mut early, 20).await;
    let mut now = watch(&mut client, &[], None).await.expect("a stream");
    next(&mut now).await;
    let back = Some(Since::Cursor(cursor));
    drop(early);
    let mut back = watch(&mut client, &[], back).await.expect("a stream");
    next(&mut back).await;

    connection.execute("COMMIT").await.expect("commits");
    let until = Instant::now() + PATIENCE / 2;
    for stream in [&mut now, &mut back] {
        loop {
            assert!(Instant::now() < until, "it was missed");
            let message = next(stream).await;
            let mut changes = message.changes.iter();
            if changes.any(|change| change.conversation == late) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_old_gap_is_decided_only_when_nothing_is_under_way_there() {
    let world = World::new().await;
    let store = Store::new(database::pool(world.database.clone(), 4));
    let insert = async |conversation: u64| {
        let mut connection = world.database.connect().await.expect("connects");
        connection.execute("BEGIN").await.expect("begins");
        let stored = sqlx::query(
            "INSERT INTO messages (conversation_id, seq, author_name, text, created_at) \
             VALUES (?, 1, 'greta', 'late', UTC_TIMESTAMP(3))",
        )
        .bind(conversation)
        .execute(&mut connection)
        .await
        .expect("stores");
        let id: u64 = sqlx::query_scalar("SELECT MAX(id) FROM messages")
            .fetch_one(&mut connection)
            .await
            .expect("an id");
        assert_eq!(stored.rows_affected(), 1);
        (connection, id)
    };
    let ((mut kept, first), (mut undone, second)) = (insert(7).await, insert(8).await);
    let decided = async |ids| {
        let found = store.entries_decided(Log::Messages, &[ids]).await.expect("an answer");
        found.map(|entries| entries.iter().map(|entry| entry.id).collect::<Vec<_>>())
    };
    assert_eq!(decided(first..=first).await, None);
    assert_eq!(decided(second..=second + 9).await, None);
    undone.execute("ROLLBACK").await.expect("rolls back");
    assert_eq!(decided(second..=second).await, Some(Vec::new()));
    kept.execute("COMMIT").await.expect("commits");
    assert_eq!(decided(first..=second).await, Some(vec![first]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_of_changes_come_from_now_and_from_a_cursor_without_repetition() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let (alice, bob) = (register(&mut client, "alice").await, register(&mut client, "bob").await);
    client.post_message(post(&alice, "before")).await.expect("posts");
    let peer = Some(v1::open_direct_request::Peer::PeerName("bob".into()));
    let request = v1::OpenDirectRequest { caller: Some(alice.clone()), peer };
    let direct = client.open_direct(request).await.expect("opens").into_inner().conversation;
    let direct = direct.expect("a direct").id;

    for chosen in [&[][..], &[&*direct]] {
        let mut stream =
            watch(&mut client, chosen, from(v1::WatchFrom::Now)).await.expect("a stream");
        assert!(next(&mut stream).await.changes.is_empty(), "where it begins");
        let message = client.post_message(post_in(&alice, &direct, &format!("{}", chosen.len())));
        let message = message.await.expect("posts").into_inner().message.expect("a message");
        let (message_id, mine) = (message.id, Some(alice.clone()));
        let read = v1::MarkReadRequest { caller: Some(bob.clone()), message_id };
        client.mark_read(read).await.expect("marks");
        let edit = v1::EditMessageRequest { caller: mine.clone(), message_id, text: "new".into() };
        client.edit_message(edit).await.expect("edits");
        let (changes, cursor) = hears(&mut stream, 3).await;
        let kinds: Vec<_> = changes.iter().filter_map(|change| change.kind.as_ref()).collect();
        assert!(
            matches!(kinds[..], [Kind::Posted(_), Kind::Read(_), Kind::Edited(_)]),
            "{kinds:?}"
        );
        let first = message.seq;
        let seqs: Vec<_> = changes.iter().map(|change| change.seq).collect();
        assert_eq!(seqs, [first, first + 1, first + 2]);
        drop(stream);
        let delete = v1::DeleteMessageRequest { caller: mine, message_id };
        client.delete_message(delete).await.expect("deletes");
        let since = Some(Since::Cursor(cursor));
        let mut stream = watch(&mut client, chosen, since).await.expect("a stream");
        let (changes, _) = hears(&mut stream, 1).await;
        assert!(matches!(changes[0].kind, Some(Kind::Deleted(_))), "{changes:?}");
        assert_eq!((changes.len(), changes[0].seq), (1, first + 3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_watchers_hear_all_the_same() {
    let world = World::empty();
    let program = Program::run(command(&world).env("REDIS_URL", "redis://127.0.0.1:1"));
    let mut client = program.client();
    let greta = v1::Party { kind: Some(v1::party::Kind::Guest("greta".into())) };
    let mut stream = watch(&mut client, &[], None).await.expect("a stream");
    next(&mut stream).await;
    for text in ["one", "two"] {
        client.post_message(post(&greta, text)).await.expect("posts");
    }
    let (changes, _) = hears(&mut stream, 2).await;
    assert_eq!(texts(&changes), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_slows_down_nobody_and_finds_everything_later() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let alice = register(&mut client, "alice").await;
    let mut slow_client = program.client();
    let mut slow = watch(&mut slow_client, &[], None).await.expect("a stream");
    let mut quick = watch(&mut client, &[], None).await.expect("a stream");
    next(&mut quick).await;
    // More than all buffers on the way hold.
    let long = "x".repeat(3_900);
    for hundred in 0..10 {
        let posts = (0..100).map(|n| {
            let (mut client, text) = (client.clone(), format!("{hundred}-{n} {long}"));
            let alice = &alice;
            async move {
                let post =
                    v1::PostMessageRequest { client_id: String::new(), ..post(alice, &text) };
                client.post_message(post).await.map(drop)
            }
        });
        assert!(join_all(posts).await.iter().all(Result::is_ok));
        let (heard, _) = hears(&mut quick, 100).await;
        assert_eq!(heard.len(), 100);
    }
    let (heard, _) = hears(&mut slow, 1_000).await;
    let seqs: Vec<_> = heard.iter().map(|change| change.seq).collect();
    assert_eq!(seqs, (1..=1_000).collect::<Vec<_>>());
}

fn code(refused: Result<Streaming<v1::WatchEventsResponse>, Status>) -> (Code, Option<String>) {
    let status = refused.expect_err("refused");
    let field = status.get_details_bad_request();
    (to_error(&status).code(), field.map(|bad| bad.field_violations[0].field.clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_watched_is_refused() {
    let world = World::empty();
    let program = Program::run(command(&world).env("WATCHES_MAX", "2"));
    let mut client = program.client();
    let wrong = |field: &str| (Code::InvalidPayload, Some(field.to_owned()));
    let cursor = |raw: &str| Some(Since::Cursor(raw.into()));
    assert_eq!(code(watch(&mut client, &[], cursor("rubbish")).await), wrong("cursor"));
    assert_eq!(code(watch(&mut client, &[], Some(Since::From(9))).await), wrong("from"));
    let absent = ConversationId::random().to_string();
    assert_eq!(code(watch(&mut client, &[&absent], None).await).0, Code::NotFound);
    assert_eq!(code(watch(&mut client, &["lobby"; 101], None).await), wrong("conversation_ids"));

    let mut lobby = watch(&mut client, &["lobby"], None).await.expect("a stream");
    let of_lobby = next(&mut lobby).await.cursor;
    assert_eq!(code(watch(&mut client, &[], cursor(&of_lobby)).await), wrong("cursor"));
    // Of a database that has lost something.
    let alice = register(&mut client, "alice").await;
    client.post_message(post(&alice, "hi")).await.expect("posts");
    let ahead = hears(&mut lobby, 1).await.1;
    let other = World::empty();
    let elsewhere = Program::start(&other);
    let refused = watch(&mut elsewhere.client(), &["lobby"], cursor(&ahead)).await;
    assert_eq!(code(refused), wrong("cursor"));

    let second = watch(&mut client, &[], None).await.expect("a stream");
    let refused = watch(&mut client, &[], None).await.expect_err("refused");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert!(refused.get_details_retry_info().is_some());
    drop(second);
    let until = Instant::now() + PATIENCE;
    while watch(&mut client, &[], None).await.is_err() {
        assert!(Instant::now() < until, "its place is free again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_at_its_deadline_and_when_its_replica_stops() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let mut request = Request::new(v1::WatchEventsRequest::default());
    request.metadata_mut().insert("grpc-timeout", "300m".parse().expect("ASCII"));
    let mut stream = client.watch_events(request).await.expect("a stream").into_inner();
    next(&mut stream).await;
    let ended = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
    assert_eq!(ended.expect_err("an end").code(), tonic::Code::DeadlineExceeded);

    let mut stream = watch(&mut client, &[], None).await.expect("a stream");
    let cursor = next(&mut stream).await.cursor;
    program.signal("TERM");
    let ended = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
    let ended = ended.expect_err("an end");
    assert_eq!(ended.code(), tonic::Code::Unavailable);
    assert!(ended.get_details_retry_info().is_some());
    assert_eq!(program.exit_code(), Some(0));
    let next_one = Program::start(&world);
    let since = Some(Since::Cursor(cursor));
    assert!(watch(&mut next_one.client(), &[], since).await.is_ok());
}
