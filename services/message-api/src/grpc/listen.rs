//! Accepts connections for gRPC. Until one has shown the token of a service it is a stranger's: there
//! is room for few of those, and not for long.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use chat_core::process::Shutdown;
use dialects::accept::{self, Newest, Place};
use hyper::{body::Incoming, rt::Executor, server::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::Instrument;

use super::spans;

/// A peer that does not answer a ping in this time is dead.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long a caller may take to show its certificate.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a connection lasts that shows no token of a service. Probes need less.
const STRANGE: Duration = Duration::from_secs(30);

/// Strangers' connections at once; the oldest goes for a new one.
const STRANGERS: usize = 256;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 10_000;

/// Calls at once on a connection. A gateway makes 64.
const CALLS: u32 = 256;

/// The largest head of a call, as HTTP/2 counts it.
const HEAD_MAX: u32 = 16 * 1024;

/// Bytes of requests on a connection that may wait to be read.
const UNREAD: u32 = 1024 * 1024;

/// Calls that were taken back before they were looked at; who makes more is cut off.
const TAKEN_BACK: usize = 32;

/// How long a stranger's last calls may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection, as its calls know it.
#[derive(Clone, Debug)]
pub(super) struct Caller(Arc<Place>);

impl Caller {
    /// It has shown the token of a service.
    pub(super) fn is_known(&self) {
        self.0.keep();
    }
}

/// What is served, and to whom.
#[derive(Clone)]
pub(super) struct Listener {
    pub(super) router: Router,
    pub(super) tls: Option<TlsAcceptor>,
    /// Once cancelled, no connection is accepted, and what is under way is the last.
    pub(super) leaving: CancellationToken,
    pub(super) tasks: Shutdown,
}

impl Listener {
    /// Serves until it leaves.
    pub(super) async fn serve(self, listener: TcpListener) {
        let (room, strangers) = (Arc::new(Semaphore::new(CONNECTIONS)), Newest::new(STRANGERS));
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            let (stream, peer) = tokio::select! {
                accepted = accept::next(&listener) => accepted,
                () = self.leaving.cancelled() => return,
            };
            let place = Arc::new(strangers.enter());
            let listener = self.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = listener.open(stream, peer, &place) => {}
                    () = place.taken() => {}
                }
                drop(permit);
            });
        }
    }

    async fn open(&self, stream: TcpStream, peer: SocketAddr, place: &Arc<Place>) {
        let Some(tls) = &self.tls else { return self.speak(stream, peer, place).await };
        match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream, peer, place).await,
            Ok(Err(cause)) => tracing::debug!(%cause, %peer, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        }
    }

    async fn speak<S>(&self, stream: S, peer: SocketAddr, place: &Arc<Place>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (caller, router) = (Caller(Arc::clone(place)), self.router.clone());
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(caller.clone());
            let span = spans::of_call(&request);
            router.clone().oneshot(request.map(Body::new)).instrument(span)
        });
        let connection = http2::Builder::new(Tracked(self.tasks.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .max_concurrent_streams(CALLS)
            .max_header_list_size(HEAD_MAX)
            .initial_stream_window_size(UNREAD)
            .initial_connection_window_size(UNREAD)
            .max_pending_accept_reset_streams(TAKEN_BACK)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.leaving.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = stays_strange(place) => {
                connection.as_mut().graceful_shutdown();
                timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(cause) = outcome {
            tracing::debug!(%cause, %peer, "a connection ended");
        }
    }
}

/// Waits until it is certain that nobody known is there.
async fn stays_strange(place: &Place) {
    tokio::select! {
        () = place.kept() => std::future::pending().await,
        () = sleep(STRANGE) => {}
    }
}

/// Runs each call as a task that shutdown waits for.
#[derive(Clone)]
struct Tracked(Shutdown);

impl<F> Executor<F> for Tracked
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}
