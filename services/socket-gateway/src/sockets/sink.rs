//! Hop 10 of 10, last step: finished frames go out to one socket. From `dialects/…/render.rs`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_core::{CloseReason, Frame, Sink, process::Shutdown};
use socketioxide::{SendError, SocketError, TransportType, extract::SocketRef};
use tokio::time::sleep;

use crate::connections::{Connections, KillSwitch};

/// How long a client may take to go by itself once told.
const GO: Duration = Duration::from_secs(2);

/// The way to one Socket.IO socket.
pub(super) struct SocketSink {
    pub socket: SocketRef,
    pub connections: Arc<Connections>,
    pub shutdown: Shutdown,
    pub is_closing: AtomicBool,
}

impl Sink for SocketSink {
    fn deliver(&self, frame: &Frame) {
        match self.socket.emit(frame.name, &*frame.body) {
            Ok(()) => metrics::counter!("switchboard_frames_out_total").increment(1),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                if frame.fleeting {
                    metrics::counter!("switchboard_fleeting_dropped_total").increment(1);
                } else {
                    self.close(CloseReason::SlowReader);
                }
            }
            // It is gone already; its task will notice.
            Err(SendError::Socket(SocketError::Closed)) => {}
            Err(SendError::Serialize(cause)) => {
                tracing::error!(event = frame.name, %cause, "a frame could not be encoded");
            }
        }
    }

    fn close(&self, reason: CloseReason) {
        if self.is_closing.swap(true, Ordering::Relaxed) {
            return;
        }
        let reason_name = reason.as_str();
        metrics::counter!("switchboard_closed_total", "reason" => reason_name).increment(1);
        let switch = self.switch();
        match reason {
            // Cutting the transport makes official clients come back by themselves.
            CloseReason::SlowReader | CloseReason::Draining if switch.is_some() => {}
            _ => drop(self.socket.clone().disconnect()),
        }
        let Some(switch) = switch else { return };
        match reason {
            CloseReason::SessionEnded => {
                self.shutdown.spawn_until_stopped(async move {
                    sleep(GO).await;
                    switch.kill();
                });
            }
            CloseReason::SlowReader | CloseReason::Draining => switch.kill(),
        }
    }
}

impl SocketSink {
    /// The switch of the websocket that carries this socket; polling has none.
    fn switch(&self) -> Option<KillSwitch> {
        if self.socket.transport_type() == TransportType::Polling {
            return None;
        }
        let upgraded = self.connections.of_upgraded(&self.socket.id.to_string());
        upgraded.or_else(|| self.socket.req_parts().extensions.get().cloned())
    }
}
