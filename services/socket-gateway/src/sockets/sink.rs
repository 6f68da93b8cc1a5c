//! Hop 10 of 10, last step: finished frames go out to one socket. From `dialects/…/render.rs`.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_core::{CloseReason, Frame, Sink, process::Shutdown};
use socketioxide::{SendError, SocketError, TransportType, extract::SocketRef};
use tokio::time::sleep;

use super::Mount;
use crate::connections::{Connections, KillSwitch};

/// How long a client may take to go by itself once told.
const GO: Duration = Duration::from_secs(2);

/// Frames that may wait until the client has heard that it is in.
const HELD: usize = 1_024;

/// What waits until the client has heard that it is in.
#[derive(Default)]
struct Held {
    frames: Vec<Frame>,
    close: Option<CloseReason>,
}

/// The way to one Socket.IO socket.
pub(super) struct SocketSink {
    socket: SocketRef,
    connections: Arc<Connections>,
    shutdown: Shutdown,
    is_open: AtomicBool,
    held: Mutex<Option<Held>>,
    is_closing: AtomicBool,
}

impl Sink for SocketSink {
    fn deliver(&self, frame: &Frame) {
        if !self.is_open.load(Ordering::Acquire)
            && let Some(held) = &mut *self.held()
        {
            if held.frames.len() < HELD {
                held.frames.push(frame.clone());
            } else {
                held.close = Some(CloseReason::SlowReader);
            }
            return;
        }
        self.emit(frame);
    }

    fn close(&self, reason: CloseReason) {
        if !self.is_open.load(Ordering::Acquire)
            && let Some(held) = &mut *self.held()
        {
            held.close = Some(reason);
            return;
        }
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
    /// Holds everything until [`Self::release`].
    pub(super) fn new(socket: SocketRef, mount: &Mount) -> Self {
        Self {
            socket,
            connections: Arc::clone(&mount.connections),
            shutdown: mount.shutdown.clone(),
            is_open: AtomicBool::new(false),
            held: Mutex::new(Some(Held::default())),
            is_closing: AtomicBool::new(false),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what was held, in order; from now on frames go straight out.
    pub(super) fn release(&self) {
        let close = {
            let mut held = self.held();
            let Held { frames, close } = held.take().unwrap_or_default();
            frames.iter().for_each(|frame| self.emit(frame));
            self.is_open.store(true, Ordering::Release);
            close
        };
        if let Some(reason) = close {
            self.close(reason);
        }
    }

    /// Cuts the connection, if it is a websocket.
    pub(super) fn cut(&self) {
        if let Some(switch) = self.switch() {
            switch.kill();
        }
    }

    fn emit(&self, frame: &Frame) {
        match self.socket.emit(frame.name, &*frame.body) {
            Ok(()) => metrics::counter!("switchboard_frames_out_total").increment(1),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                if frame.fleeting {
                    metrics::counter!("switchboard_fleeting_dropped_total").increment(1);
                } else if self.is_open.load(Ordering::Acquire) {
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
    /// The switch of the websocket that carries this socket; polling has none.
    fn switch(&self) -> Option<KillSwitch> {
        if self.socket.transport_type() == TransportType::Polling {
            return None;
        }
        let upgraded = self.connections.of_upgraded(&self.socket.id.to_string());
        upgraded.or_else(|| self.socket.req_parts().extensions.get().cloned())
    }
}
