//! Mounts the dialects' socket legs on Socket.IO. Hop 1 of 10 begins here, hop 10 ends here.
//!
//! Socket.IO runs here with its local adapter only: what crosses gateways goes through our own
//! topics (`feed`).
//!
//! | file | what it does |
//! |---|---|
//! | [`eio3`] | old browsers that poll get their framing |
//! | [`websocket`], [`session`] | websockets that need nothing of the library are served without it |
//! | [`handshake`] | who connects; handlers are in place before the client hears that it is in |
//! | [`inbox`] | one bounded queue a socket: events are handled in the order in which they came |
//! | [`task`] | one task a socket: takes from the inbox, asks the dialect, acknowledges |
//! | [`sink`] | the way out: frames to the socket; who reads too slowly is cut off |

pub mod eio3;
#[cfg(test)]
pub(crate) mod guard;
mod handshake;
mod inbox;
mod session;
mod sink;
mod task;
#[cfg(test)]
mod tests;
mod websocket;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::any,
};
use chat_core::{Limits, process::Shutdown};
use dialects::{
    json::Bounded,
    socket::{Leg, Ports},
};
use socketioxide::{
    ParserConfig, SocketIo, SocketIoBuilder,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
};

use tower::ServiceExt;

pub(crate) use self::websocket::{ENTER_WITHIN, is_ours};
use crate::connections::Connections;

/// Longest `auth`: tokens are far shorter.
const AUTH_MAX: usize = 16 * 1024;

/// Attachments of one packet, and how long they may take.
const ATTACHMENTS: usize = 4;
const ATTACHMENTS_WITHIN: Duration = Duration::from_secs(10);

/// Frames that may wait for one client before it counts as a slow reader.
const QUEUE: usize = 4_096;

/// What every socket needs.
#[derive(Clone)]
pub struct Mount {
    /// The enabled protocols.
    pub legs: Arc<[Arc<dyn Leg>]>,
    /// What they may ask and hear.
    pub ports: Ports,
    /// The connections that carry them.
    pub connections: Arc<Connections>,
    /// Who owns their tasks.
    pub shutdown: Shutdown,
}

/// What becomes of a socket that comes without a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    /// It is a guest, where guests are let in.
    Guest,
    /// It is refused.
    Refused,
    /// It is let in, and its protocol tells it to go.
    ToldInside,
}

/// A namespace, and who is let in.
#[derive(Clone)]
struct Gate {
    namespace: &'static str,
    mount: Mount,
    stranger: Stranger,
}

/// Adds Socket.IO on `/socket.io`: the shared namespace `/` with all the legs that share it, and
/// one namespace for each of them.
pub fn shared(router: Router, mount: &Mount) -> Router {
    const PATH: &str = "/socket.io";
    let legs: Arc<[_]> = mount.legs.iter().filter(|leg| leg.is_shared()).cloned().collect();
    let all = Mount { legs: Arc::clone(&legs), ..mount.clone() };
    let root = Gate { namespace: "/", mount: all, stranger: Stranger::Guest };
    let own = legs.iter().map(|leg| {
        let stranger = if leg.takes_guests() { Stranger::Guest } else { Stranger::Refused };
        Gate { namespace: leg.namespace(), mount: mount.only(leg), stranger }
    });
    let gates: Arc<[Gate]> = [root].into_iter().chain(own).collect();
    let (layer, io) = settings(PATH, &mount.ports.limits).build_layer();
    gates.iter().for_each(|gate| open(&io, gate));
    let without_library = async |State(gates): State<Arc<[Gate]>>, request: Request, next: Next| {
        if request.uri().path().trim_end_matches('/') != PATH {
            return next.run(request).await;
        }
        serve(&gates, request, async |request| next.run(request).await).await
    };
    router.layer(layer).layer(middleware::from_fn_with_state(gates, without_library))
}

/// Socket.IO for the one leg that does not share, on a path of its own. What comes there and is
/// not Engine.IO goes to `plain`, the same protocol without Socket.IO.
pub fn own_path(path: &'static str, mount: &Mount, plain: Router) -> Router {
    let Some(leg) = mount.legs.iter().find(|leg| !leg.is_shared()) else { return Router::new() };
    let (service, io) = settings(path, &mount.ports.limits).build_svc();
    // Old clients come into the root namespace, whatever they ask for.
    let gates: Arc<[Gate]> = [leg.namespace(), "/"]
        .map(|namespace| Gate { namespace, mount: mount.only(leg), stranger: Stranger::ToldInside })
        .into();
    gates.iter().for_each(|gate| open(&io, gate));
    let handler = any(move |request: Request| {
        let (gates, service, plain) = (Arc::clone(&gates), service.clone(), plain.clone());
        async move {
            if !is_engine_io(&request) {
                let Ok(response) = plain.oneshot(request).await;
                return response;
            }
            let by_library = async |request: Request| {
                let Ok(response) = service.oneshot(request).await;
                response.map(Body::new)
            };
            serve(&gates, request, by_library).await
        }
    });
    Router::new().route(path, handler.clone()).route(&format!("{path}/"), handler)
}

/// Serves a request of Socket.IO, by the library what only the library can.
async fn serve(
    gates: &Arc<[Gate]>,
    request: Request,
    by_library: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    match websocket::serve(gates, request).await {
        Ok(response) => response,
        Err(request) => by_library(request).await,
    }
}

fn is_engine_io(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair.starts_with("EIO="))
}

fn settings(path: &'static str, limits: &Limits) -> SocketIoBuilder {
    let most = limits.frame_max();
    let parser = ParserConfig::common()
        .max_incoming_binaries(ATTACHMENTS)
        .max_incoming_binary_buf_size(most)
        .packet_completion_timeout(ATTACHMENTS_WITHIN);
    SocketIo::builder()
        .req_path(path)
        .max_payload(most as u64)
        .ws_max_message_size(most)
        .ws_max_frame_size(most)
        .ws_read_buffer_size(1024)
        .max_buffer_size(QUEUE)
        .connect_timeout(websocket::ENTER_WITHIN)
        .ping_interval(websocket::PING_EVERY)
        .ping_timeout(websocket::PONG_WITHIN)
        .with_parser(parser)
}

impl Gate {
    /// The protocol of its sockets, as metrics name it.
    fn protocol(&self) -> &'static str {
        match &*self.mount.legs {
            [leg] if self.namespace != "/" || !leg.is_shared() => leg.protocol(),
            _ => "shared",
        }
    }
}

impl Mount {
    fn only(&self, leg: &Arc<dyn Leg>) -> Self {
        Self { legs: [Arc::clone(leg)].into(), ..self.clone() }
    }
}

fn open(io: &SocketIo, gate: &Gate) {
    let admit = {
        let gate = gate.clone();
        move |socket: SocketRef, TryData(auth): TryData<Bounded>| {
            let gate = gate.clone();
            let auth = auth.map(|Bounded(auth)| auth).map_err(|cause| cause.to_string());
            async move { handshake::admit(gate, socket, auth).await }
        }
    };
    let begin = move |socket: SocketRef| {
        handshake::begin(&socket);
        async {}
    };
    io.ns(gate.namespace, begin.with(admit));
}
