//! Hop 10 of 10, last step: finished frames go out to one socket. From `dialects/…/render.rs`.
//!
//! A socket on a websocket writes through its connection's own queue ([`crate::outbound`]): a
//! frame is encoded once for all who get it. A socket that polls is served by the Socket.IO
//! library; when it goes over to a websocket, so do its frames, in order.

use std::{
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{ChatError, CloseReason, Code, Frame, Sink, process::Shutdown};
use serde_json::{Value, json, value::to_raw_value};
use socketioxide::{SendError, SocketError, TransportType, extract::SocketRef};
use tokio::time::sleep;

use super::{Gate, Mount, inbox::Delivery, session::Session, task::shown};
use crate::{
    backlog::Backlog,
    connections::{Connections, KillSwitch},
    outbound::{Outbound, frame},
};

/// How long a client may take to go by itself once told.
const GO: Duration = Duration::from_secs(2);

/// Frames that may wait until the client has heard that it is in.
const HELD: usize = 1_024;

/// Found once: this is counted for each recipient.
static FRAMES_OUT: LazyLock<metrics::Counter> =
    LazyLock::new(|| metrics::counter!("switchboard_frames_out_total"));

/// What a socket sends last on the library's way out. It never reaches the client.
const MARKER: &str = "switchboard:crossing";

/// The websocket's own queue, and the marker with which this socket came over to it; empty if it
/// never had another way.
struct Direct {
    outbound: Arc<Outbound>,
    marker: Bytes,
}

/// What a socket belongs to.
enum Owner {
    /// The Socket.IO library.
    Library(SocketRef),
    /// One of our own sessions, and the number of its gate.
    Session { session: Arc<Session>, gate: usize },
}

/// What waits until the client has heard that it is in.
#[derive(Default)]
struct Held {
    frames: Vec<Frame>,
    bytes: usize,
    close: Option<CloseReason>,
}

/// The way to one Socket.IO socket.
pub(super) struct SocketSink {
    owner: Owner,
    namespace: &'static str,
    connections: Arc<Connections>,
    direct: OnceLock<Direct>,
    /// The switch of the websocket that carries this socket, once one does.
    websocket: OnceLock<KillSwitch>,
    /// The Engine.IO session that polls and what waits for its next poll, until then.
    polled: Option<(String, Arc<Backlog>)>,
    queue_bytes: usize,
    shutdown: Shutdown,
    held: Mutex<Option<Held>>,
    is_closing: AtomicBool,
    /// The library's socket knows it too, far away in memory: this is asked for each frame.
    is_gone: AtomicBool,
}

#[async_trait]
impl Sink for SocketSink {
    fn deliver(&self, frame: &Frame) {
        if let Some(direct) = self.direct.get() {
            return self.push(direct, self.encode(frame), frame.fleeting);
        }
        let mut held = self.held();
        match &mut *held {
            Some(held) => held.put(frame, self.queue_bytes),
            None => self.emit(frame),
        }
    }

    async fn has_room(&self) {
        self.backlog().falls_to(self.queue_bytes / 2).await;
    }

    fn close(&self, reason: CloseReason) {
        if self.direct.get().is_none()
            && let Some(held) = &mut *self.held()
        {
            held.close = Some(reason);
            return;
        }
        self.close_now(reason);
    }
}

impl SocketSink {
    fn close_now(&self, reason: CloseReason) {
        if self.is_closing.swap(true, Ordering::Relaxed) {
            return;
        }
        let reason_name = reason.as_str();
        metrics::counter!("switchboard_closed_total", "reason" => reason_name).increment(1);
        match reason {
            // A lost transport makes official clients come back by themselves.
            CloseReason::SlowReader | CloseReason::Draining => self.cut(),
            CloseReason::SessionEnded | CloseReason::NameTaken => {
                if reason == CloseReason::NameTaken {
                    let sentence = "somebody has registered your name: log in, or take another";
                    let error = ChatError::new(Code::UsernameTaken, sentence);
                    self.deliver(&refusal("join room", &error));
                }
                self.send_out();
                let Some(switch) = self.switch().cloned() else { return };
                self.shutdown.spawn_until_stopped(async move {
                    sleep(GO).await;
                    switch.kill();
                });
            }
        }
    }

    /// What carries it, as metrics name it.
    pub(super) const fn transport(&self) -> &'static str {
        match self.owner {
            Owner::Library(_) => "library",
            Owner::Session { .. } => "websocket",
        }
    }

    /// Holds everything until [`Self::release`].
    pub(super) fn new(socket: SocketRef, namespace: &'static str, mount: &Mount) -> Self {
        let is_polling = socket.transport_type() == TransportType::Polling;
        let sid = socket.id.to_string();
        let polled = is_polling.then(|| {
            let backlog = mount.connections.polled(&sid);
            (sid, backlog)
        });
        let owner = Owner::Library(socket);
        Self::held_for(owner, namespace, mount, (OnceLock::new(), polled))
    }

    /// The same, for a socket of one of our own sessions.
    pub(super) fn on_session(session: &Arc<Session>, gate: usize) -> Self {
        let websocket = OnceLock::from(session.switch().clone());
        let Gate { namespace, mount, .. } = session.gate(gate);
        let owner = Owner::Session { session: Arc::clone(session), gate };
        Self::held_for(owner, namespace, mount, (websocket, None))
    }

    fn held_for(
        owner: Owner,
        namespace: &'static str,
        mount: &Mount,
        (websocket, polled): (OnceLock<KillSwitch>, Option<(String, Arc<Backlog>)>),
    ) -> Self {
        Self {
            owner,
            namespace,
            direct: OnceLock::new(),
            connections: Arc::clone(&mount.connections),
            websocket,
            polled,
            queue_bytes: mount.ports.queue_bytes,
            shutdown: mount.shutdown.clone(),
            held: Mutex::new(Some(Held::default())),
            is_closing: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what was held, in order; from now on frames go straight out.
    pub(super) fn release(&self) {
        let close = {
            let mut held = self.held();
            let Held { frames, close, .. } = held.take().unwrap_or_default();
            let direct = self.cross();
            for frame in &frames {
                match &direct {
                    Some(direct) => self.push(direct, self.encode(frame), frame.fleeting),
                    None => self.emit_by_library(frame),
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

    /// Sends the socket out of its namespace.
    fn send_out(&self) {
        match &self.owner {
            Owner::Library(socket) => drop(socket.clone().disconnect()),
            Owner::Session { session, gate } => session.send_out(*gate),
        }
    }

    /// Cuts the connection, or ends the session that polls. Official clients take a refusal or a
    /// `disconnect` as final; after this they come back by themselves.
    pub(super) fn cut(&self) {
        if let Some((sid, _)) = &self.polled {
            self.connections.end(sid);
        }
        if let Some(switch) = self.switch() {
            switch.kill();
        }
    }

    /// The socket is gone: nothing waits any more.
    pub(super) fn gone(&self) {
        self.is_gone.store(true, Ordering::Relaxed);
        self.polled.iter().for_each(|(_, polled)| polled.clear());
    }

    /// Waits until everything has been written.
    pub(super) async fn has_written(&self) {
        self.backlog().falls_to(0).await;
    }

    /// Waits until this socket is told to go.
    pub(super) async fn told_to_go(&self) {
        self.shutdown.begun().await;
        if let Some(switch) = self.switch() {
            switch.told_to_go().cancelled().await;
        }
    }

    /// Acknowledges, where the client asked for it; otherwise sends a refusal as an `error` event.
    pub(super) fn reply(&self, delivery: Delivery, answer: chat_core::Result<Value>) {
        let Delivery { event, ack, ack_id, .. } = delivery;
        let body = match (answer, ack_id) {
            (Ok(body), _) => body,
            (Err(error), Some(_)) => refused(json!({"success": false}), &error),
            (Err(error), None) => return self.deliver(&refusal(&event, &error)),
        };
        let Some(id) = ack_id else { return };
        // A value of ours always serialises.
        let Ok(body) = to_raw_value(&body) else { return };
        let _lock = self.held();
        if let Some(direct) = self.direct_now() {
            return self.push(direct, frame::ack(self.namespace, id, body.get()), false);
        }
        let bytes = frame::ack_len(self.namespace, id, body.get());
        self.send(bytes, false, || ack.map_or(Ok(()), |ack| ack.send(&*body)));
    }

    /// Comes over to the websocket's own queue, once there is one. Runs under the lock.
    fn cross(&self) -> Option<Direct> {
        let outbound = Arc::clone(self.switch()?.outbound()?);
        let Owner::Library(socket) = &self.owner else {
            return Some(Direct { outbound, marker: Bytes::new() });
        };
        let number = self.connections.number();
        let marker = frame::event(self.namespace, MARKER, &number.to_string());
        outbound.cross(marker.clone());
        let sent = socket.emit(MARKER, &number);
        if sent.is_err() {
            outbound.forget(&marker);
        }
        self.sent(Some(sent), false);
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

    /// Hands a finished frame over, if there is room. A socket that has left its namespace gets no
    /// more: the next one in the same place on the connection is not it.
    fn push(&self, direct: &Direct, bytes: Bytes, fleeting: bool) {
        if self.is_gone.load(Ordering::Relaxed) {
            return;
        }
        let has_room = direct.outbound.backlog().put(bytes.len(), self.most(fleeting));
        if has_room {
            direct.outbound.push(&direct.marker, bytes);
        }
        self.sent(has_room.then_some(Ok(())), fleeting);
    }

    /// Runs under the lock.
    fn emit(&self, frame: &Frame) {
        match self.direct_now() {
            Some(direct) => self.push(direct, self.encode(frame), frame.fleeting),
            None => self.emit_by_library(frame),
        }
    }

    fn emit_by_library(&self, frame: &Frame) {
        let bytes = frame::event_len(self.namespace, frame.name, frame.body.get());
        if let Owner::Library(socket) = &self.owner {
            self.send(bytes, frame.fleeting, || socket.emit(frame.name, &*frame.body));
        }
    }

    /// How many bytes may wait after a frame that must arrive, or that may be missed.
    const fn most(&self, fleeting: bool) -> usize {
        if fleeting { self.queue_bytes / 2 } else { self.queue_bytes }
    }

    /// Sends a packet that takes so many bytes by the library, if there is room.
    fn send(&self, bytes: usize, fleeting: bool, send: impl FnOnce() -> Result<(), SendError>) {
        let (backlog, most) = (self.backlog(), self.most(fleeting));
        // Counted in first, or it might be counted out before.
        let sent = backlog.put(bytes, most).then(|| send().inspect_err(|_| backlog.written(bytes)));
        self.sent(sent, fleeting);
    }

    /// What became of a packet; `None`: there was no room. One that may be missed is, and for
    /// another the socket is closed: it comes back and catches up.
    fn sent(&self, sent: Option<Result<(), SendError>>, fleeting: bool) {
        match sent {
            Some(Ok(())) => FRAMES_OUT.increment(1),
            None | Some(Err(SendError::Socket(SocketError::InternalChannelFull))) => {
                if fleeting {
                    metrics::counter!("switchboard_fleeting_dropped_total").increment(1);
                } else {
                    self.close_now(CloseReason::SlowReader);
                }
            }
            // It is gone already; its task will notice.
            Some(Err(SendError::Socket(SocketError::Closed))) => {}
            Some(Err(SendError::Serialize(cause))) => {
                tracing::error!(%cause, "a packet could not be encoded");
            }
        }
    }

    fn backlog(&self) -> &Backlog {
        static NOBODY: OnceLock<Backlog> = OnceLock::new();
        let carried = self.switch().map(KillSwitch::backlog);
        let carried = carried.or(self.polled.as_ref().map(|(_, polled)| &**polled));
        carried.unwrap_or_else(|| NOBODY.get_or_init(Backlog::default))
    }

    /// The switch of the websocket that carries this socket; polling has none.
    fn switch(&self) -> Option<&KillSwitch> {
        if let Some(known) = self.websocket.get() {
            return Some(known);
        }
        let Owner::Library(socket) = &self.owner else { return None };
        if socket.transport_type() == TransportType::Polling {
            return None;
        }
        let upgraded = self.connections.of_upgraded(&socket.id.to_string());
        let switch = upgraded.or_else(|| socket.req_parts().extensions.get().cloned())?;
        Some(self.websocket.get_or_init(|| switch))
    }
}

impl Held {
    fn put(&mut self, frame: &Frame, most: usize) {
        let bytes = frame.body.get().len();
        if self.frames.len() < HELD && (self.bytes == 0 || self.bytes + bytes <= most) {
            self.bytes += bytes;
            self.frames.push(frame.clone());
        } else {
            self.close = Some(CloseReason::SlowReader);
        }
    }
}

impl Drop for SocketSink {
    fn drop(&mut self) {
        if let Some((sid, backlog)) = self.polled.take() {
            drop(backlog);
            self.connections.forget_polled(&sid);
        }
    }
}

/// An `error` event.
fn refusal(event: &str, error: &ChatError) -> Frame {
    Frame::new("error", &refused(json!({"event": shown(event)}), error))
}

/// Adds why something is refused, and when it is worth trying again, where that is known.
fn refused(mut body: Value, error: &ChatError) -> Value {
    body["error"] = error.message().into();
    body["code"] = error.code().as_str().into();
    if let Some(after) = error.retry_after_ms() {
        body["retryAfterMs"] = after.into();
    }
    body
}
