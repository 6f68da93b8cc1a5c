//! Hop 10 of 10, last step: finished frames go out to one socket. From `dialects/…/render.rs`.
//!
//! A socket on a websocket writes through its connection's own queue ([`crate::outbound`]): a
//! frame is encoded once for all who get it. A socket that polls is served by the Socket.IO
//! library; when it goes over to a websocket, so do its frames, in order.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chat_core::{CloseReason, Frame, Result, Sink, process::Shutdown};
use serde_json::{Value, json};
use socketioxide::{SendError, SocketError, TransportType, extract::SocketRef};
use tokio::time::sleep;

use super::{Mount, inbox::Delivery, task::shown};
use crate::{
    connections::{Connections, KillSwitch},
    outbound::{Full, Outbound, frame},
};

/// How long a client may take to go by itself once told.
const GO: Duration = Duration::from_secs(2);

/// Frames that may wait until the client has heard that it is in.
const HELD: usize = 1_024;

/// Bytes that may wait for one connection before it counts as a slow reader.
const QUEUE_BYTES: usize = 1024 * 1024;

/// What a socket sends last on the library's way out. It never reaches the client.
const MARKER: &str = "switchboard:crossing";

/// What waits until the client has heard that it is in.
#[derive(Default)]
struct Held {
    frames: Vec<Frame>,
    close: Option<CloseReason>,
}

/// The websocket's own queue, and the marker with which this socket came over to it.
struct Direct {
    outbound: Arc<Outbound>,
    marker: Bytes,
}

/// The way to one Socket.IO socket.
pub(super) struct SocketSink {
    socket: SocketRef,
    namespace: &'static str,
    connections: Arc<Connections>,
    shutdown: Shutdown,
    held: Mutex<Option<Held>>,
    direct: OnceLock<Direct>,
    is_closing: AtomicBool,
}

impl Sink for SocketSink {
    fn deliver(&self, frame: &Frame) {
        if let Some(direct) = self.direct.get() {
            return self.push(direct, self.encode(frame), frame.fleeting);
        }
        let mut held = self.held();
        match &mut *held {
            Some(held) if held.frames.len() < HELD => held.frames.push(frame.clone()),
            Some(held) => held.close = Some(CloseReason::SlowReader),
            None => match self.direct_now() {
                Some(direct) => self.push(direct, self.encode(frame), frame.fleeting),
                None => self.emit(frame),
            },
        }
    }

    fn close(&self, reason: CloseReason) {
        if let Some(held) = &mut *self.held() {
            held.close = Some(reason);
            return;
        }
        self.close_now(reason);
    }
}

impl SocketSink {
    /// Holds everything until [`Self::release`].
    pub(super) fn new(socket: SocketRef, namespace: &'static str, mount: &Mount) -> Self {
        Self {
            socket,
            namespace,
            connections: Arc::clone(&mount.connections),
            shutdown: mount.shutdown.clone(),
            held: Mutex::new(Some(Held::default())),
            direct: OnceLock::new(),
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
            let direct = self.cross();
            for frame in &frames {
                match &direct {
                    Some(direct) => self.push(direct, self.encode(frame), frame.fleeting),
                    None => self.emit(frame),
                }
            }
            // Only now: who sees it goes ahead without the lock.
            direct.map(|direct| self.direct.set(direct));
            close
        };
        if let Some(reason) = close {
            self.close_now(reason);
        }
    }

    /// Acknowledges, where the client asked for it; otherwise sends a refusal as an `error` event.
    pub(super) fn reply(&self, delivery: Delivery, answer: Result<Value>) {
        let answer = match (answer, delivery.ack_id) {
            (Ok(_), None) => return,
            (Ok(body), Some(_)) => body,
            (Err(error), Some(_)) => json!({
                "success": false, "error": error.message(), "code": error.code().as_str(),
            }),
            (Err(error), None) => {
                let (event, code) = (shown(&delivery.event), error.code().as_str());
                let body = json!({"event": event, "code": code, "error": error.message()});
                return self.deliver(&Frame::new("error", &body));
            }
        };
        let _lock = self.held();
        match (self.direct_now(), delivery.ack_id) {
            (Some(direct), Some(id)) => {
                self.push(direct, frame::ack(self.namespace, id, &answer.to_string()), false);
            }
            _ => self.sent(delivery.ack.send(&answer), false),
        }
    }

    /// Cuts the connection, if it is a websocket.
    pub(super) fn cut(&self) {
        if let Some(switch) = self.switch() {
            switch.kill();
        }
    }

    /// Comes over to the websocket's own queue, once there is one. Runs under the lock.
    fn cross(&self) -> Option<Direct> {
        let switch = self.switch()?;
        let outbound = Arc::clone(switch.outbound()?);
        let number = self.connections.number();
        let marker = frame::event(self.namespace, MARKER, &number.to_string());
        outbound.cross(marker.clone());
        self.sent(self.socket.emit(MARKER, &number), false);
        Some(Direct { outbound, marker })
    }

    /// The websocket's own queue, if there is one by now. Runs under the lock.
    fn direct_now(&self) -> Option<&Direct> {
        if self.direct.get().is_none() {
            let _ = self.direct.set(self.cross()?);
        }
        self.direct.get()
    }

    fn encode(&self, frame: &Frame) -> Bytes {
        frame.on(self.namespace, |frame| frame::event(self.namespace, frame.name, frame.body.get()))
    }

    fn push(&self, direct: &Direct, bytes: Bytes, fleeting: bool) {
        let limit = if fleeting { QUEUE_BYTES / 2 } else { QUEUE_BYTES };
        match direct.outbound.push(Some(&direct.marker), bytes, limit) {
            Ok(()) => metrics::counter!("switchboard_frames_out_total").increment(1),
            Err(Full) => self.missed(fleeting),
        }
    }

    /// The library's way out.
    fn emit(&self, frame: &Frame) {
        self.sent(self.socket.emit(frame.name, &*frame.body), frame.fleeting);
    }

    fn sent(&self, sent: std::result::Result<(), SendError>, fleeting: bool) {
        match sent {
            Ok(()) => metrics::counter!("switchboard_frames_out_total").increment(1),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => self.missed(fleeting),
            // It is gone already; its task will notice.
            Err(SendError::Socket(SocketError::Closed)) => {}
            Err(SendError::Serialize(cause)) => {
                tracing::error!(%cause, "a frame could not be encoded");
            }
        }
    }

    /// A socket that can't take what must arrive is closed: it would wait for ever.
    fn missed(&self, fleeting: bool) {
        match fleeting {
            true => metrics::counter!("switchboard_fleeting_dropped_total").increment(1),
            false => self.close_now(CloseReason::SlowReader),
        }
    }

    fn close_now(&self, reason: CloseReason) {
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

    /// The switch of the websocket that carries this socket; polling has none.
    fn switch(&self) -> Option<KillSwitch> {
        if self.socket.transport_type() == TransportType::Polling {
            return None;
        }
        let upgraded = self.connections.of_upgraded(&self.socket.id.to_string());
        upgraded.or_else(|| self.socket.req_parts().extensions.get().cloned())
    }
}
