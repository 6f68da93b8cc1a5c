//! Accepts connections. Each has a kill switch and a write deadline, and must say what it wants
//! in time.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::{Code, process::Shutdown};
use dialects::{live::Carrier, places::Places};
use hyper::{
    HeaderMap, Method, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tower::ServiceExt;

use crate::{
    connections::{Connections, KillSwitch, OpenConnection},
    engine_io,
    incoming::IncomingIo,
    outbound::{Flushers, io::OutboundIo},
    refusal::{SOON, refused},
    stays::Stay,
    visitors::Caller,
};

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(30);

/// The largest head of a request, and as much as is read ahead of what is asked for.
const HEAD_MAX: usize = 32 * 1024;

/// Bytes that may wait unsent in the kernel for one client: the rest waits where it is counted.
const UNSENT: u32 = 128 * 1024;

/// Serves until shutdown begins; connections that are open then live on.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    connections: Arc<Connections>,
    peers: Places,
    flushers: Flushers,
    write_deadline: Duration,
    shutdown: Shutdown,
) {
    loop {
        let room = connections.room().await;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.begun() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = peers.enter(peer.ip().into()) else { continue };
                // One connection's trouble is its own.
                let _ = tune(&stream, write_deadline);
                let open = connections.open(room, Some(place));
                let outbound = open.way_out(stream, &flushers, write_deadline);
                let io = OutboundIo::new(outbound, open);
                let served = serve_one(
                    io,
                    Caller(peer),
                    router.clone(),
                    Arc::clone(&connections),
                    shutdown.clone(),
                );
                shutdown.spawn(served);
            }
            Err(cause) => {
                // Out of file descriptors, most likely: some will come free.
                tracing::warn!(%cause, "can't accept");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn tune(stream: &TcpStream, write_deadline: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_user_timeout(Some(write_deadline))
}

async fn serve_one(
    io: OutboundIo<OpenConnection>,
    caller: Caller,
    router: Router,
    connections: Arc<Connections>,
    shutdown: Shutdown,
) {
    let switch = io.guard().switch().clone();
    let io = IncomingIo::new(io);
    let unread = io.unread().clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        detach(&mut request);
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(switch.clone());
        let carrier = Carrier { departure: switch.told_to_go(), unread: unread.clone() };
        request.extensions_mut().insert(carrier);
        let answering = router.clone().oneshot(request.map(Body::new));
        let connections = Arc::clone(&connections);
        async move {
            let Ok(mut response) = answering.await;
            if connections.is_scarce() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
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
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        outcome = connection.as_mut() => {
            if let Err(cause) = outcome {
                tracing::debug!(%cause, "a connection ended");
            }
        }
        () = shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Copies what a socket keeps of its request for as long as it lives: as it comes, every header is
/// a slice of the connection's read buffer, 16 KiB that could not be freed, and the map has room
/// for more than there are.
fn detach<B>(request: &mut hyper::Request<B>) {
    let all = std::mem::take(request.headers_mut());
    let mut copies = HeaderMap::with_capacity(all.len());
    for (name, value) in &all {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            copies.append(name, copy);
        }
    }
    *request.headers_mut() = copies;
    if let Ok(copy) = request.uri().to_string().parse() {
        *request.uri_mut() = copy;
    }
}

/// Remembers which connections carry websockets, and which of them carries an Engine.IO session
/// that goes over from polling; and that what waited for a poll was fetched.
pub async fn note_transport(
    State(connections): State<Arc<Connections>>,
    request: Request,
    next: Next,
) -> Response {
    let sid = engine_io::sid(&request).map(str::to_owned);
    let is_known = request.extensions().get::<Arc<Stay>>().is_some();
    let switch = request.extensions().get::<KillSwitch>().cloned();
    let is_over = || sid.as_ref().is_some_and(|sid| connections.is_over(sid));
    if is_over() {
        return session_is_over();
    }
    let is_read = request.method() == Method::GET;
    let response = next.run(request).await;
    // What a poll would bring now, a refusal most likely, would be final for the client.
    if is_over() {
        return session_is_over();
    }
    match (response.status(), sid, switch) {
        (StatusCode::SWITCHING_PROTOCOLS, sid, Some(switch)) => {
            switch.carries_a_websocket();
            // Only a session that there is can be upgraded.
            if let Some(sid) = sid.filter(|_| is_known) {
                connections.upgraded(&sid, &switch);
            }
        }
        (StatusCode::OK, Some(sid), _) if is_read => connections.answered(&sid),
        _ => {}
    }
    response
}

fn session_is_over() -> Response {
    (StatusCode::BAD_REQUEST, "this session is over, begin a new one").into_response()
}

/// Lets so many plain websockets in at the same time. Who waits too long is told to come back.
pub async fn in_turn(
    State(connections): State<Arc<Connections>>,
    request: Request,
    next: Next,
) -> Response {
    match connections.turn().await {
        Some(_turn) => next.run(request).await,
        None => refused(Code::Unavailable, "this replica is busy, try again", SOON),
    }
}
