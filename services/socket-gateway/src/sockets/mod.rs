//! Mounts the dialects' socket legs on Socket.IO. Hop 1 of 10 begins here, hop 10 ends here.
//!
//! Socket.IO runs here with its local adapter only: what crosses gateways goes through our own
//! topics (`feed`).
//!
//! | file | what it does |
//! |---|---|
//! | [`handshake`] | who connects; handlers are in place before the client hears that it is in |
//! | [`inbox`] | one bounded queue a socket: events are handled in the order in which they came |
//! | [`task`] | one task a socket: takes from the inbox, asks the dialect, acknowledges |
//! | [`sink`] | the way out: frames to the socket; who reads too slowly is cut off |

mod handshake;
mod inbox;
mod sink;
mod task;

use std::{sync::Arc, time::Duration};

use chat_core::process::Shutdown;
use dialects::socket::{Leg, Ports};
use serde_json::Value;
use socketioxide::{
    ParserConfig, SocketIo,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
    layer::SocketIoLayer,
};

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

/// Socket.IO with the shared namespace `/`, where all the legs are, and one namespace for each.
pub fn layer(mount: &Mount) -> SocketIoLayer {
    let parser = ParserConfig::common()
        .max_incoming_binaries(4)
        .max_incoming_binary_buf_size(FRAME_MAX)
        .packet_completion_timeout(Duration::from_secs(10));
    let (layer, io) = SocketIo::builder()
        .req_path("/socket.io")
        .max_payload(FRAME_MAX as u64)
        .ws_max_message_size(FRAME_MAX)
        .ws_max_frame_size(FRAME_MAX)
        .ws_read_buffer_size(4 * 1024)
        .max_buffer_size(QUEUE)
        .connect_timeout(Duration::from_secs(15))
        .with_parser(parser)
        .build_layer();
    open(&io, "/", mount.clone());
    for leg in mount.legs.iter() {
        open(&io, leg.namespace(), Mount { legs: [Arc::clone(leg)].into(), ..mount.clone() });
    }
    layer
}

fn open(io: &SocketIo, namespace: &'static str, mount: Mount) {
    let admit = {
        let mount = mount.clone();
        move |socket: SocketRef, TryData(auth): TryData<Value>| {
            let mount = mount.clone();
            async move { handshake::admit(mount, socket, auth.ok()).await }
        }
    };
    let begin = move |socket: SocketRef| {
        task::begin(&mount, &socket);
        async {}
    };
    io.ns(namespace, begin.with(admit));
}
