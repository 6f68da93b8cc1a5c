//! Accepts connections for REST. Each must say what it wants in time, and take what it is answered.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, body::Body, extract::ConnectInfo};
use chat_core::process::Shutdown;
use dialects::places::Places;
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

/// How long a request's head may take, and how long a connection may wait for its next request.
const HEAD: Duration = Duration::from_secs(30);

/// The largest head, and as much as is read ahead of what is asked for.
const HEAD_MAX: usize = 64 * 1024;

/// How long what was written may wait to be taken.
const WRITE_DEADLINE: Duration = Duration::from_secs(20);

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 10_000;

/// When less room than this is left, who was answered goes, so that others get in.
const SCARCE: usize = CONNECTIONS / 10;

/// Serves until shutdown begins; requests under way are answered then.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    peers: Places,
    tasks: Shutdown,
) -> anyhow::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&room).acquire_owned().await.context("serving REST")?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.begun() => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(its_own) = peers.enter(peer.ip().into()) else { continue };
                // One connection's trouble is its own.
                let _ = tune(&stream);
                let room = Arc::clone(&room);
                let serving = serve_one(stream, peer, router.clone(), room, tasks.clone());
                tasks.spawn(async move {
                    serving.await;
                    drop((place, its_own));
                });
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
        .serve_connection(TokioIo::new(stream), service);
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
