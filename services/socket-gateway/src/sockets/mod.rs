//! Mounts the dialects' socket legs on Socket.IO. Hop 1 of 10 begins here, hop 10 ends here.
//!
//! Socket.IO runs here with its local adapter only: what crosses gateways goes through our own
//! topics (`feed`).
//!
//! | file | what it does |
//! |---|---|
//! | [`eio3`] | old browsers that poll get their framing |
//! | [`handshake`] | who connects; handlers are in place before the client hears that it is in |
//! | [`inbox`] | one bounded queue a socket: events are handled in the order in which they came |
//! | [`task`] | one task a socket: takes from the inbox, asks the dialect, acknowledges |
//! | [`sink`] | the way out: frames to the socket; who reads too slowly is cut off |

pub mod eio3;
#[cfg(test)]
pub(crate) mod guard;
mod handshake;
mod inbox;
mod sink;
mod task;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, routing::any};
use chat_core::process::Shutdown;
use dialects::socket::{Leg, Ports};
use serde_json::Value;
use socketioxide::{
    ParserConfig, SocketIo, SocketIoBuilder,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
    layer::SocketIoLayer,
};

use tower::ServiceExt;

use crate::connections::Connections;

/// Largest frame that a client may send: room for a text that is far too long to be told so.
const FRAME_MAX: usize = 2 * 1024 * 1024;

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

/// Socket.IO on `/socket.io`: the shared namespace `/` with all the legs that share it, and one
/// namespace for each of them.
pub fn layer(mount: &Mount) -> SocketIoLayer {
    let (layer, io) = settings("/socket.io").build_layer();
    let shared: Arc<[_]> = mount.legs.iter().filter(|leg| leg.is_shared()).cloned().collect();
    open(&io, "/", Mount { legs: Arc::clone(&shared), ..mount.clone() }, Stranger::Guest);
    for leg in shared.iter() {
        let stranger = if leg.takes_guests() { Stranger::Guest } else { Stranger::Refused };
        open(&io, leg.namespace(), mount.only(leg), stranger);
    }
    layer
}

/// Socket.IO for the one leg that does not share, on a path of its own. What comes there and is
/// not Engine.IO goes to `plain`, the same protocol without Socket.IO.
pub fn own_path(path: &'static str, mount: &Mount, plain: Router) -> Router {
    let Some(leg) = mount.legs.iter().find(|leg| !leg.is_shared()) else { return Router::new() };
    let (service, io) = settings(path).build_svc();
    open(&io, leg.namespace(), mount.only(leg), Stranger::ToldInside);
    // Old clients come into the root namespace, whatever they ask for.
    open(&io, "/", mount.only(leg), Stranger::ToldInside);
    let handler = any(move |request: Request| {
        let (service, plain) = (service.clone(), plain.clone());
        async move {
            if is_engine_io(&request) {
                let Ok(response) = service.oneshot(request).await;
                return response.map(Body::new);
            }
            let Ok(response) = plain.oneshot(request).await;
            response
        }
    });
    Router::new().route(path, handler.clone()).route(&format!("{path}/"), handler)
}

fn is_engine_io(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair.starts_with("EIO="))
}

fn settings(path: &'static str) -> SocketIoBuilder {
    let parser = ParserConfig::common()
        .max_incoming_binaries(4)
        .max_incoming_binary_buf_size(FRAME_MAX)
        .packet_completion_timeout(Duration::from_secs(10));
    SocketIo::builder()
        .req_path(path)
        .max_payload(FRAME_MAX as u64)
        .ws_max_message_size(FRAME_MAX)
        .ws_max_frame_size(FRAME_MAX)
        .ws_read_buffer_size(1024)
        .max_buffer_size(QUEUE)
        .connect_timeout(Duration::from_secs(15))
        .with_parser(parser)
}

impl Mount {
    fn only(&self, leg: &Arc<dyn Leg>) -> Self {
        Self { legs: [Arc::clone(leg)].into(), ..self.clone() }
    }
}

fn open(io: &SocketIo, namespace: &'static str, mount: Mount, stranger: Stranger) {
    let admit = {
        move |socket: SocketRef, TryData(auth): TryData<Value>| {
            let mount = mount.clone();
            let auth = auth.map_err(|cause| cause.to_string());
            async move { handshake::admit(mount, socket, auth, (namespace, stranger)).await }
        }
    };
    let begin = move |socket: SocketRef| {
        handshake::begin(&socket);
        async {}
    };
    io.ns(namespace, begin.with(admit));
}
