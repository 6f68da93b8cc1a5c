//! Websockets of Socket.IO 5 that begin as websockets are served here, others by the library: in
//! its hands an idle connection takes three times the memory (three tasks, a channel, and a
//! request kept whole).
//!
//! One task reads a connection and keeps time. What goes out goes through the connection's own
//! queue ([`crate::outbound`]).

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        FromRequestParts, Request,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, Method, request::Parts},
    response::Response,
};
use dialects::{
    address::Address,
    live::{Carrier, bounded},
    origin::TELLING,
    unread::Unread,
};
use futures_util::SinkExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Gate, handshake::Visit, session::Session};
use crate::connections::KillSwitch;

/// How often a client is pinged, and how long it may take to answer. It is told both.
pub(super) const PING_EVERY: Duration = Duration::from_secs(25);
pub(super) const PONG_WITHIN: Duration = Duration::from_secs(20);

/// How long a client may take to enter a namespace.
pub(crate) const ENTER_WITHIN: Duration = Duration::from_secs(15);

/// How long a client may take to read that its connection is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// An idle connection keeps so much to read into; long messages make room for themselves.
const READ: usize = 1024;

/// Ends its session, however the task that serves it ends.
struct Ending(Arc<Session>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What the client is waited for.
enum Awaited {
    Quiet,
    Pong,
}

/// Serves a request for such a websocket; gives any other back.
pub(super) async fn serve(gates: &Arc<[Gate]>, request: Request) -> Result<Response, Request> {
    if !is_ours(&request) {
        return Err(request);
    }
    let (mut parts, body) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let switch = parts.extensions.get::<KillSwitch>().cloned();
    let (Ok(upgrade), Some(switch)) = (upgrade, switch) else {
        return Err(Request::from_parts(parts, body));
    };
    let unread = parts.extensions.get().map(|carrier: &Carrier| carrier.unread.clone());
    let unread = unread.unwrap_or_default();
    let limits = gates.first().map(|gate| gate.mount.ports.limits).unwrap_or_default();
    let session = Session::new(Arc::clone(gates), switch, visit(&parts));
    let live = |websocket| live(websocket, session, unread);
    Ok(bounded(upgrade, &limits).read_buffer_size(READ).on_upgrade(live))
}

/// Is it for a websocket that is served here?
pub(crate) fn is_ours(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let has = |wanted: &str| query.split('&').any(|pair| pair == wanted);
    request.method() == Method::GET
        && has("EIO=4")
        && has("transport=websocket")
        && !query.split('&').any(|pair| pair.starts_with("sid="))
}

fn visit(parts: &Parts) -> Visit {
    let mut headers = HeaderMap::new();
    for name in TELLING {
        for value in parts.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    let from = Address::noted(&parts.extensions);
    Visit { headers, query: parts.uri.query().map(Into::into), from }
}

/// Lives as long as the connection.
async fn live(mut websocket: WebSocket, session: Arc<Session>, unread: Unread) {
    let ending = Ending(session);
    ending.0.greet();
    unread.begin();
    listen(&mut websocket, &ending.0, &unread).await;
    drop(ending);
    let _ = timeout(FAREWELL, websocket.close()).await;
}

/// Takes what comes in, until the client is gone or does what it must not.
async fn listen(websocket: &mut WebSocket, session: &Arc<Session>, unread: &Unread) {
    let (mut awaited, mut until) = (Awaited::Quiet, Instant::now() + PING_EVERY);
    // Until when it must be in a namespace, while it is in none.
    let mut outside = None;
    loop {
        outside = match session.is_inside() {
            true => None,
            false => outside.or_else(|| Some(Instant::now() + ENTER_WITHIN)),
        };
        let next = outside.map_or(until, |outside| until.min(outside));
        let Ok(message) = timeout_at(next, websocket.recv()).await else {
            if outside == Some(next) && !session.is_inside() {
                return;
            }
            if next == until {
                (awaited, until) = match awaited {
                    Awaited::Quiet if session.ping() => (Awaited::Pong, until + PONG_WITHIN),
                    Awaited::Quiet | Awaited::Pong => return,
                };
            }
            continue;
        };
        if let Some(Ok(message)) = &message {
            unread.took(message);
        }
        let goes_on = match message {
            Some(Ok(Message::Text(text))) => match text.as_bytes().first() {
                Some(b'4') => session.hears(&text[1..]),
                // A ping counts as well, as in the library.
                Some(b'2' | b'3') => {
                    if matches!(awaited, Awaited::Pong) {
                        (awaited, until) = (Awaited::Quiet, Instant::now() + PING_EVERY);
                    }
                    true
                }
                // It closes, or speaks another language.
                _ => false,
            },
            Some(Ok(Message::Binary(bytes))) => session.hears_attachment(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => true,
            Some(Ok(Message::Close(_)) | Err(_)) | None => false,
        };
        if !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_new_websockets_of_the_newest_protocol_are_wanted() {
        let is_ours = |method: Method, query: &str| {
            let request = Request::builder().method(method).uri(format!("/socket.io/?{query}"));
            is_ours(&request.body(Body::empty()).expect("a request"))
        };
        assert!(is_ours(Method::GET, "EIO=4&transport=websocket"));
        assert!(is_ours(Method::GET, "token=a&transport=websocket&EIO=4"));
        for others in [
            "EIO=3&transport=websocket",
            "EIO=4&transport=polling",
            "EIO=4&transport=websocket&sid=a",
            "transport=websocket",
            "",
        ] {
            assert!(!is_ours(Method::GET, others), "{others}");
        }
        assert!(!is_ours(Method::POST, "EIO=4&transport=websocket"));
    }
}
