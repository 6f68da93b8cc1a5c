//! A connection, its client, and what comes out in which order.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use chat_core::process::Shutdown;

use super::{io::OutboundIo, *};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The marker of a socket that has come over.
pub(super) static HERE: Bytes = Bytes::from_static(b"here");

/// A connection's way out, and its client.
pub(super) async fn pair(patience: Duration) -> (Arc<Outbound>, TcpStream, Shutdown) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let tasks = Shutdown::new();
    let flushers = Flushers::start(1, &tasks);
    let (cut, backlog) = (CancellationToken::new(), Arc::default());
    (Outbound::new(stream, 0, flushers, cut, backlog, patience), client, tasks)
}

pub(super) async fn read(client: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(Duration::from_secs(10), client.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

#[tokio::test]
async fn frames_and_what_the_library_writes_go_out_in_the_order_in_which_they_came() {
    let (outbound, mut client, _tasks) = pair(PATIENCE).await;
    let mut library = OutboundIo::new(Arc::clone(&outbound), ());
    outbound.push(&HERE, Bytes::from_static(b"one "));
    library.write_all(b"two ").await.unwrap();
    outbound.push(&HERE, Bytes::from_static(b"three "));
    outbound.push(&HERE, Bytes::from_static(b"four"));
    assert_eq!(read(&mut client, 18).await, b"one two three four");
    assert_eq!(outbound.queue().bytes, 0);
}

#[tokio::test]
async fn a_socket_that_comes_over_sends_nothing_before_its_marker() {
    let (outbound, mut client, _tasks) = pair(PATIENCE).await;
    let mut library = OutboundIo::new(Arc::clone(&outbound), ());
    let frame = |text: &str| frame::event("/", "e", &format!("\"{text}\""));
    let marker = frame("marker");
    outbound.cross(marker.clone());
    outbound.push(&marker, frame("last"));
    outbound.push(&HERE, frame("other"));
    library.write_all(&[&*frame("first"), &*marker].concat()).await.unwrap();
    outbound.push(&marker, frame("over"));
    let expected = ["other", "first", "last", "over"].map(|text| frame(text).to_vec()).concat();
    assert_eq!(read(&mut client, expected.len()).await, expected);
}

#[tokio::test]
async fn frames_that_wait_for_their_marker_do_not_keep_it_from_coming() {
    let (outbound, mut client, _tasks) = pair(PATIENCE).await;
    let mut library = OutboundIo::new(Arc::clone(&outbound), ());
    let marker = frame::event("/", "e", "\"marker\"");
    outbound.cross(marker.clone());
    let long = Bytes::from(vec![b'x'; 1 << 20]);
    outbound.push(&marker, long.clone());
    let written = timeout(Duration::from_secs(10), library.write_all(&marker)).await;
    written.expect("there is room").unwrap();
    assert_eq!(read(&mut client, long.len()).await, long);
    assert_eq!(outbound.queue().bytes, 0);
}

#[tokio::test]
async fn a_socket_that_does_not_come_over_after_all_holds_nobody_up() {
    let (outbound, mut client, _tasks) = pair(PATIENCE).await;
    let mut library = OutboundIo::new(Arc::clone(&outbound), ());
    let marker = frame::event("/", "e", "\"marker\"");
    outbound.cross(marker.clone());
    outbound.forget(&marker);
    outbound.push(&marker, Bytes::from_static(b"one "));
    library.write_all(b"two").await.unwrap();
    assert_eq!(read(&mut client, 7).await, b"one two");
    assert!(outbound.queue().crossings.is_empty());
}

#[tokio::test]
async fn what_comes_after_the_end_is_counted_out() {
    let (outbound, _client, _tasks) = pair(PATIENCE).await;
    drop(OutboundIo::new(Arc::clone(&outbound), ()));
    for _ in 0..100 {
        assert!(outbound.backlog.put(10, 100));
        outbound.push(&HERE, Bytes::from_static(b"0123456789"));
    }
    assert_eq!(outbound.backlog.bytes(), 0);
}

#[tokio::test]
async fn what_a_slow_reader_did_not_take_goes_out_once_it_reads_and_is_counted_out() {
    let (outbound, mut client, _tasks) = pair(PATIENCE).await;
    let frame = Bytes::from(vec![b'x'; 64 * 1024]);
    let mut taken = 0;
    while outbound.backlog.put(frame.len(), 1 << 20) {
        outbound.push(&HERE, frame.clone());
        taken += frame.len();
        tokio::task::yield_now().await;
    }
    read(&mut client, taken).await;
    outbound.push(&HERE, Bytes::from_static(b"done"));
    assert_eq!(read(&mut client, 4).await, b"done");
    assert_eq!((outbound.backlog.bytes(), outbound.queue().bytes), (0, 0));
}

#[tokio::test]
async fn data_that_nobody_reads_is_cut_off_at_the_deadline() {
    let (outbound, _client, _tasks) = pair(Duration::from_millis(50)).await;
    let mut library = OutboundIo::new(Arc::clone(&outbound), ());
    while !outbound.cut.is_cancelled() {
        if outbound.backlog.put(1 << 20, 8 << 20) {
            outbound.push(&HERE, Bytes::from(vec![b'x'; 1 << 20]));
        }
        tokio::task::yield_now().await;
    }
    let error = library.write_all(b"x").await.expect_err("cut");
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    let error = library.read_u8().await.expect_err("cut");
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn the_switch_releases_a_read_that_waits() {
    let (outbound, _client, _tasks) = pair(PATIENCE).await;
    let mut library = OutboundIo::new(Arc::clone(&outbound), ());
    let read = library.read_u8();
    outbound.cut.cancel();
    assert_eq!(read.await.expect_err("cut").kind(), ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn the_client_sees_the_end_after_the_last_frame_whoever_holds_the_way_out() {
    let (outbound, mut client, _tasks) = pair(PATIENCE).await;
    let library = OutboundIo::new(Arc::clone(&outbound), ());
    let last = Bytes::from(vec![b'x'; 4 << 20]);
    outbound.push(&HERE, last.clone());
    drop(library);
    outbound.push(&HERE, Bytes::from_static(b"too late"));
    let mut all = Vec::new();
    timeout(Duration::from_secs(10), client.read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all.len(), last.len());
}
