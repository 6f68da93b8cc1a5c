//! Acknowledged means committed: the connection is cut at the very COMMIT.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chat_core::{Code, ConversationId};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{World, refusal, seqs_to};

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The server never sees the COMMIT.
    Before,
    /// The client never sees that it was done.
    After,
}

/// A way to the database that cuts the next COMMIT once it is armed.
struct Proxy {
    port: u16,
    is_armed: Arc<AtomicBool>,
    _connections: JoinSet<()>,
}

impl Proxy {
    async fn start(server: &MySqlConnectOptions, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let server = format!("{}:{}", server.get_host(), server.get_port());
        let is_armed = Arc::new(AtomicBool::new(false));
        let (armed, mut connections) = (Arc::clone(&is_armed), JoinSet::new());
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("connects");
                open.spawn(pass_on(client, server, Arc::clone(&armed), cut));
            }
        });
        Self { port, is_armed, _connections: connections }
    }
}

/// Passes bytes on in both directions until one side closes or the connection is cut.
async fn pass_on(mut client: TcpStream, mut server: TcpStream, armed: Arc<AtomicBool>, cut: Cut) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let is_commit = asked[..length].windows(6).any(|bytes| bytes == b"COMMIT");
                let is_cut = is_commit && armed.swap(false, Ordering::Relaxed);
                if is_cut && cut == Cut::Before {
                    return;
                }
                server.write_all(&asked[..length]).await.expect("writes");
                if is_cut {
                    let mut all = Vec::new();
                    while !is_whole(&all) {
                        let length = server.read_buf(&mut all).await.expect("an answer");
                        assert!(length > 0, "it was done");
                    }
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Is the last packet an OK after which no more come? Statements that go together are answered one
/// by one.
fn is_whole(answers: &[u8]) -> bool {
    const MORE_COME: u8 = 8;
    let (mut rest, mut is_last) = (answers, false);
    while let [a, b, c, _, packet @ ..] = rest {
        let length = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
        let Some((packet, next)) = packet.split_at_checked(length) else { return false };
        is_last = matches!(packet, [0, _, _, status, ..] if status & MORE_COME == 0);
        rest = next;
    }
    is_last && rest.is_empty()
}

async fn post_through_a_cut(cut: Cut) {
    let mut world = World::new().await;
    let direct = world.replica();
    let proxy = Proxy::start(&world.database, cut).await;
    world.database =
        world.database.clone().host("127.0.0.1").port(proxy.port).ssl_mode(MySqlSslMode::Disabled);
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let lobby = ConversationId::LOBBY;
    replica.says(&alice, lobby, "first").await;
    proxy.is_armed.store(true, Ordering::Relaxed);
    let posted = replica.tries(&alice, lobby, "second", Some("key")).await;
    assert_eq!(refusal(posted), Code::Unavailable, "it is not known to be durable");
    let is_stored = direct.texts(&alice, lobby).await.contains(&"second".to_owned());
    assert_eq!(is_stored, cut == Cut::After);
    let again = replica.tries(&alice, lobby, "second", Some("key")).await.expect("posts");
    assert_eq!(again.text, "second");
    replica.says(&alice, lobby, "third").await;
    assert_eq!(direct.texts(&alice, lobby).await, ["first", "second", "third"]);
    let seqs: Vec<_> = direct.all_changes(lobby, 500).await.iter().map(|c| c.seq).collect();
    assert_eq!(seqs, seqs_to(3));
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_not_acknowledged() {
    post_through_a_cut(Cut::Before).await;
}

#[tokio::test]
async fn a_commit_whose_outcome_is_unknown_is_not_acknowledged_and_a_retry_is_harmless() {
    post_through_a_cut(Cut::After).await;
}
