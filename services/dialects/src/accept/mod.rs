//! Accepts connections that speak HTTP/1.1. Each must say what it wants in time, and take what it is
//! answered.

mod newest;
mod paced;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use chat_core::process::Shutdown;
use hyper::{
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tower::ServiceExt;

pub use self::newest::{Newest, Place};
use self::paced::Paced;
use crate::places::Places;

/// How long a request's head may take, and how long a connection may wait for its next request.
const HEAD: Duration = Duration::from_secs(30);

/// The largest head, and as much as is read ahead of what is asked for.
const HEAD_MAX: usize = 64 * 1024;

/// How long what was written may wait to be taken.
const WRITE_DEADLINE: Duration = Duration::from_secs(20);

/// As much of an answer is the kernel's; the rest is paced.
const SEND_BUFFER: usize = 256 * 1024;

/// Connections at once to a port that everybody may know; more wait to be accepted.
const CONNECTIONS: usize = 10_000;

/// When less room than this is left there, who was answered goes, so that others get in.
const SCARCE: usize = CONNECTIONS / 10;

/// Connections at once to a port that few should know.
const FEW: usize = 256;

/// Connections that may wait to be accepted: what a rush fills is lost without a word.
const BACKLOG: i32 = 4_096;

/// Binds a port. The error is one sentence.
pub fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let listen = || -> io::Result<TcpListener> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    listen().map_err(|cause| format!("can't listen on {address}: {cause}"))
}

/// Serves until shutdown begins; requests under way are answered then. Who has no place among those
/// at the other end of connections is cut.
pub async fn serve(listener: TcpListener, router: Router, peers: Places, tasks: Shutdown) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let (stream, peer) = tokio::select! {
            accepted = next(&listener) => accepted,
            () = tasks.begun() => return,
        };
        let Some(its_own) = peers.enter(peer.ip().into()) else { continue };
        let serving = serve_one(stream, peer, router.clone(), Arc::clone(&room), tasks.clone());
        tasks.spawn(async move {
            serving.await;
            drop((place, its_own));
        });
    }
}

/// Serves health and metrics until shutdown begins, and what is under way is cut then. However many
/// connections others open and leave, a new one is answered: the oldest goes for it.
pub async fn serve_newest(listener: TcpListener, router: Router, tasks: Shutdown) {
    let room = Newest::new(FEW);
    // The oldest goes anyway.
    let plenty = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = next(&listener) => accepted,
            () = tasks.begun() => return,
        };
        let place = room.enter();
        let serving = serve_one(stream, peer, router.clone(), Arc::clone(&plenty), tasks.clone());
        tasks.spawn_until_stopped(async move {
            tokio::select! { () = serving => {}, () = place.taken() => {} }
        });
    }
}

/// The next connection. What stands in the way of one is waited out.
pub async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // One connection's trouble is its own.
                let _ = tune(&stream);
                return (stream, peer);
            }
            Err(cause) => {
                // Out of file descriptors, most likely: some will come free.
                tracing::warn!(%cause, "can't accept");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(WRITE_DEADLINE))
}

async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    room: Arc<Semaphore>,
    tasks: Shutdown,
) {
    // One connection's trouble is its own.
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answering = router.clone().oneshot(request.map(Body::new));
        let room = Arc::clone(&room);
        async move {
            let Ok(mut response) = answering.await;
            if room.available_permits() < SCARCE {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(Paced::new(stream)), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = tasks.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(cause) = outcome {
        tracing::debug!(%cause, "a connection ended");
    }
}
