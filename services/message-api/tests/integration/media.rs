//! Uploads: what is taken, what is served, and whose messages may carry it.

use bytes::Bytes;
use chat_core::{
    Caller, Chat, Code, ConversationId, Media, Via,
    media::FILE_MAX,
    model::{MEDIA_MAX, NewMessage},
};
use futures_util::{TryStreamExt, future::join_all};
use message_api::{media::Library, store::migrate::migrate};
use sqlx::{ConnectOptions, Executor};

use crate::support::{World, guest, new_message, refusal};

/// A PNG's header, and some bytes that make it this one.
fn png(number: u8) -> Bytes {
    let mut content = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01".to_vec();
    content.extend([number; 64]);
    content.into()
}

async fn upload(library: &Library, who: &Caller, content: Bytes) -> String {
    library.put(who, content).await.expect("takes it")
}

fn id(url: &str) -> &str {
    url.strip_prefix("/media/").expect("a URL of ours")
}

fn with_media(media: &[String]) -> NewMessage {
    let media = media.to_vec();
    NewMessage { media, via: Via::Messenger, ..new_message(ConversationId::LOBBY, "look", None) }
}

#[tokio::test]
async fn what_is_uploaded_to_one_replica_is_served_by_another_byte_for_byte() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let (one, other) = (world.library(&replica), world.library(&world.replica()));
    let mut content = png(1).to_vec();
    content.resize(FILE_MAX, 0xa5);
    let url = upload(&one, &alice, content.clone().into()).await;
    let again = upload(&one, &alice, content.clone().into()).await;
    assert_ne!(url, again, "each upload is its own");
    assert_eq!(id(&url).len(), 22);
    let stored = other.get(id(&url)).await.expect("there");
    assert_eq!((stored.content_type.as_str(), stored.size), ("image/png", FILE_MAX as u64));
    let parts: Vec<Bytes> = stored.content.try_collect().await.expect("read");
    assert!(parts.concat() == content);
}

#[tokio::test]
async fn what_only_pretends_to_be_a_picture_is_refused() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    for (what, content) in [
        ("nothing", &b""[..]),
        ("HTML, whatever its name", b"<html><script>alert(document.cookie)</script></html>"),
        ("a drawing that can run scripts", b"<svg xmlns='http://www.w3.org/2000/svg'></svg>    "),
        ("a script that begins like a GIF", b"GIF89a/*<script>alert(1)</script>*/=0;//"),
        ("a text that begins like a bitmap", b"BM is what the bitmaps of old begin with"),
        ("the beginning of a PNG", b"\x89PNG\r\n\x1a\n"),
        ("a PDF", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"),
        ("a program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0"),
    ] {
        let refused = library.put(&alice, Bytes::from_static(content)).await;
        assert_eq!(refusal(refused), Code::UnsupportedMedia, "{what}");
    }
    // A whole picture with a script behind it is a picture, and served as one.
    let mut polyglot = b"GIF89a\x01\0\x01\0\0\0\0;".to_vec();
    polyglot.extend(b"<script>alert(1)</script><html></html>");
    let url = upload(&library, &alice, polyglot.into()).await;
    assert_eq!(library.get(id(&url)).await.expect("there").content_type, "image/gif");

    let mut long = png(1).to_vec();
    long.resize(FILE_MAX + 1, 0);
    assert_eq!(refusal(library.put(&alice, long.into()).await), Code::PayloadTooLarge);
    assert_eq!(refusal(library.put(&guest("greta"), png(1)).await), Code::Unauthorised);
    replica.rules.delete_account(alice.user().expect("a user")).await.expect("deletes");
    assert_eq!(refusal(library.put(&alice, png(1)).await), Code::Unauthorised);
}

#[tokio::test]
async fn an_id_that_no_upload_returned_leads_nowhere() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    let url = upload(&library, &alice, png(1)).await;
    let swapped: String = id(&url).chars().rev().collect();
    for wrong in [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "AAAAAAAAAAAAAAAAAAAAAA",
        &swapped,
        &url,
        &format!("{}/", id(&url)),
        "' OR 1=1 --           ",
    ] {
        assert_eq!(library.get(wrong).await.err().map(|e| e.code()), Some(Code::NotFound));
    }
}

#[tokio::test]
async fn a_message_carries_only_what_its_author_uploaded() {
    let world = World::new().await;
    let replica = world.replica();
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let (library, rules) = (world.library(&replica), &replica.rules);
    let mut own = Vec::new();
    for number in 0..=MEDIA_MAX {
        own.push(upload(&library, &alice, png(u8::try_from(number).expect("few"))).await);
    }
    let theirs = upload(&library, &bob, png(9)).await;
    let most = &own[..MEDIA_MAX];
    let posted = rules.post(&alice, with_media(most), None).await.expect("posts");
    assert_eq!((posted.media.as_slice(), posted.via), (most, Via::Messenger));
    assert_eq!(rules.message(&bob, posted.id).await.as_ref(), Ok(&posted), "as it was posted");
    let twice = [own[0].clone(), own[0].clone()];
    assert_eq!(rules.post(&alice, with_media(&twice), None).await.expect("posts").media, twice);
    for wrong in [
        own.clone(),
        vec![theirs],
        vec![own[0].clone(), "/media/AAAAAAAAAAAAAAAAAAAAAA".into()],
        vec!["https://example.org/x.png".into()],
        vec![format!("https://example.org{}", own[0])],
        vec![format!("{}?x", own[0])],
        vec![String::new()],
    ] {
        let refused = rules.post(&alice, with_media(&wrong), None).await;
        assert_eq!(refusal(refused), Code::InvalidMedia, "{wrong:?}");
    }
    let refused = rules.post(&guest("greta"), with_media(&own[..1]), None).await;
    assert_eq!(refusal(refused), Code::InvalidMedia);
}

#[tokio::test]
async fn the_protocol_that_a_message_came_in_by_is_kept_everywhere() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let lobby = ConversationId::LOBBY;
    let all = [
        Via::Service,
        Via::Tinychat,
        Via::Conversations,
        Via::OneToOne,
        Via::Messenger,
        Via::Chatto,
    ];
    for via in all {
        let message = NewMessage { via, ..new_message(lobby, "hi", None) };
        let posted = replica.rules.post(&alice, message, None).await.expect("posts");
        assert_eq!(replica.rules.message(&alice, posted.id).await.map(|m| m.via), Ok(via));
    }
    let changes = replica.all_changes(lobby, 100).await;
    let vias = changes.iter().filter_map(|change| match &change.kind {
        chat_core::ChangeKind::Posted(message) => Some(message.via),
        _ => None,
    });
    assert!(vias.eq(all));
}

#[tokio::test]
async fn a_user_fills_its_own_room_and_nobody_elses() {
    let world = World::new().await;
    let replica = world.replica();
    let (alice, bob) = (replica.user("alice").await, replica.user("bob").await);
    let library = world.library_with(&replica, 20_000);
    let large = |size: usize| {
        let mut content = png(1).to_vec();
        content.resize(size, 0);
        Bytes::from(content)
    };
    upload(&library, &alice, large(12_000)).await;
    let refused = library.put(&alice, large(9_000)).await.expect_err("refused");
    assert_eq!(refused.code(), Code::PayloadTooLarge);
    assert!(refused.message().contains("20000 bytes"), "{refused}");
    // However small a file is, it counts as 4 KiB.
    upload(&library, &alice, png(2)).await;
    assert_eq!(refusal(library.put(&alice, png(3)).await), Code::PayloadTooLarge);
    upload(&library, &bob, large(20_000)).await;
    assert_eq!(std::fs::read_dir(world.files()).expect("files").count(), 3, "and no other bytes");
}

#[tokio::test]
async fn uploads_at_the_same_time_on_two_replicas_fill_the_room_once() {
    let world = World::new().await;
    let (one, two) = (world.replica(), world.replica());
    let alice = one.user("alice").await;
    let libraries = [world.library_with(&one, 5 * 4_096), world.library_with(&two, 5 * 4_096)];
    let at_once = (0..16).map(|number| libraries[number % 2].put(&alice, png(1)));
    let outcomes = join_all(at_once).await;
    let (taken, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (5, 11));
    assert!(refused.into_iter().all(|refused| refusal(refused) == Code::PayloadTooLarge));
    assert_eq!(std::fs::read_dir(world.files()).expect("files").count(), 5, "and no other bytes");
}

#[tokio::test]
async fn what_was_uploaded_before_there_were_quotas_counts() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    upload(&world.library(&replica), &alice, png(1)).await;
    let mut database = world.database.connect().await.expect("connects");
    for undo in ["DROP TABLE media_use", "DELETE FROM _sqlx_migrations WHERE version = 16"] {
        database.execute(undo).await.expect("undone");
    }
    migrate(&world.database).await.expect("migrates");
    let library = world.library_with(&replica, 4_096);
    assert_eq!(refusal(library.put(&alice, png(2)).await), Code::PayloadTooLarge);
}
