//! A Socket.IO session on a websocket of our own: the namespaces that it is in.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chat_core::{ChatError, CloseReason, Code};
use dialects::{json::Bounded, pace::Pace};
use serde_json::json;
use socketioxide_core::{
    Sid, Str, Value,
    packet::{ConnectPacket, Packet, PacketData},
    parser::{Parse, ParseConfig, ParseError, ParserState},
};
use socketioxide_parser_common::CommonParser;

use super::{
    ATTACHMENTS, ATTACHMENTS_WITHIN, AUTH_MAX, Gate,
    handshake::{self, Entered, Refusal, Visit},
    inbox::Delivery,
    sink::SocketSink,
    websocket::{PING_EVERY, PONG_WITHIN},
};
use crate::{connections::KillSwitch, outbound::frame};

/// Longest binary packet, and its attachments.
const BINARY_MAX: usize = 64 * 1024;

/// What binary packets may bring: they are kept until they are whole.
const PARSING: ParseConfig = ParseConfig {
    max_incoming_binary_buf_size: BINARY_MAX,
    max_incoming_binaries: ATTACHMENTS,
    packet_completion_timeout: ATTACHMENTS_WITHIN,
};

/// How often one connection may ask to enter namespaces: far more than there are.
const ENTRIES: u32 = 40;
const ENTRIES_WITHIN: Duration = Duration::from_secs(10);

/// A session.
pub(super) struct Session {
    gates: Arc<[Gate]>,
    switch: KillSwitch,
    visit: Visit,
    sid: Sid,
    parser: ParserState,
    places: Mutex<Places>,
    is_inside: AtomicBool,
}

/// Where the client is, by the number of the gate.
struct Places {
    taken: Vec<(usize, Place)>,
    is_over: bool,
    /// How often the client may ask to come in: each time it is asked who that is.
    entries: Pace,
}

enum Place {
    /// It is being looked at.
    Asked,
    In(Entered, Weak<SocketSink>),
}

impl Session {
    /// Nobody is in any namespace yet.
    pub(super) fn new(gates: Arc<[Gate]>, switch: KillSwitch, visit: Visit) -> Arc<Self> {
        Arc::new(Self {
            gates,
            switch,
            visit,
            sid: Sid::new(),
            parser: ParserState::default(),
            places: Mutex::new(Places {
                taken: Vec::new(),
                is_over: false,
                entries: Pace::new(ENTRIES, ENTRIES_WITHIN),
            }),
            is_inside: AtomicBool::new(false),
        })
    }

    pub(super) const fn switch(&self) -> &KillSwitch {
        &self.switch
    }

    pub(super) fn gate(&self, number: usize) -> &Gate {
        &self.gates[number]
    }

    /// Is it in a namespace?
    pub(super) fn is_inside(&self) -> bool {
        self.is_inside.load(Ordering::Relaxed)
    }

    /// Tells the client how to go on.
    pub(super) fn greet(&self) {
        let greeting = json!({
            "sid": self.sid.as_str(),
            "upgrades": [],
            "pingInterval": PING_EVERY.as_millis() as u64,
            "pingTimeout": PONG_WITHIN.as_millis() as u64,
            "maxPayload": self.gates.first().map(|gate| gate.mount.ports.limits.frame_max()),
        });
        self.send(frame::text(&format!("0{greeting}")));
    }

    /// Asks whether the client is there. Answers whether the connection is.
    pub(super) fn ping(&self) -> bool {
        self.send(Bytes::from_static(frame::PING))
    }

    /// Takes a packet. Answers whether the connection may stay.
    pub(super) fn hears(self: &Arc<Self>, text: &str) -> bool {
        if text.len() > BINARY_MAX && text.starts_with(['5', '6']) {
            return false;
        }
        // A copy: what waits shall not keep the whole read buffer.
        let text = Str::copy_from_slice(text);
        self.takes(CommonParser.decode_str(&PARSING, &self.parser, text))
    }

    /// Takes a binary packet's next attachment.
    pub(super) fn hears_attachment(self: &Arc<Self>, bytes: Bytes) -> bool {
        self.takes(CommonParser.decode_bin(&PARSING, &self.parser, bytes))
    }

    fn takes(self: &Arc<Self>, packet: Result<Packet, ParseError>) -> bool {
        let packet = match packet {
            Ok(packet) => packet,
            Err(ParseError::NeedsMoreBinaryData) => return true,
            Err(cause) => {
                tracing::debug!(%cause, "not a packet");
                return false;
            }
        };
        let gate = self.gates.iter().position(|gate| packet.ns == gate.namespace);
        match (packet.inner, gate) {
            (PacketData::Connect(auth), Some(gate)) => self.ask(gate, auth),
            (PacketData::Connect(_), None) => {
                self.packet(Packet::connect_error(packet.ns, "Invalid namespace"))
            }
            (PacketData::Disconnect, Some(gate)) => self.leave(gate),
            (PacketData::Event(value, ack) | PacketData::BinaryEvent(value, ack), Some(gate)) => {
                self.deliver(gate, &value, ack)
            }
            (PacketData::ConnectError(_), _) => false,
            // Nothing is ever asked that would be acknowledged.
            _ => true,
        }
    }

    /// Has somebody who asks to enter looked at.
    fn ask(self: &Arc<Self>, gate: usize, auth: Option<Value>) -> bool {
        let length = auth.as_ref().and_then(Value::as_str).map_or(0, |auth| auth.len());
        let mut places = self.places();
        if let Err(wait) = places.entries.take() {
            drop(places);
            let refusal = ChatError::rate_limited("too many entries, slow down", wait);
            return self.refuse(&self.gates[gate], &refusal.into());
        }
        if length > AUTH_MAX {
            drop(places);
            let refusal = ChatError::new(Code::InvalidToken, "this token is too long");
            return self.refuse(&self.gates[gate], &refusal.into());
        }
        if places.taken.iter().all(|(taken, _)| *taken != gate) {
            places.taken.push((gate, Place::Asked));
            drop(places);
            let asking = Arc::clone(self).admit(gate, auth);
            self.gates[gate].mount.shutdown.spawn(asking);
        }
        true
    }

    async fn admit(self: Arc<Self>, number: usize, auth: Option<Value>) {
        let gate = &self.gates[number];
        let auth = CommonParser.decode_default(auth.as_ref());
        let auth = auth.map(|Bounded(auth)| auth).map_err(|cause| cause.to_string());
        let sink = Arc::new(SocketSink::on_session(&self, number));
        let entered = handshake::enter(gate, Arc::clone(&sink), &self.visit, &auth, None).await;
        drop(auth);
        let mut places = self.places();
        places.taken.retain(|(taken, _)| *taken != number);
        if places.is_over {
            return;
        }
        match entered {
            Ok(mut entered) => {
                let heard = entered.begin.take();
                places.taken.push((number, Place::In(entered, Arc::downgrade(&sink))));
                self.is_inside.store(true, Ordering::Relaxed);
                // A sid always serialises.
                let Ok(sid) = CommonParser.encode_default(&ConnectPacket { sid: self.sid }) else {
                    return;
                };
                self.packet(Packet::connect(gate.namespace, Some(sid)));
                drop(places);
                // If the task is gone, so is the socket.
                heard.map(|heard| heard.send(()));
            }
            Err(refusal) => {
                self.refuse(gate, &refusal);
            }
        }
    }

    fn deliver(&self, gate: usize, value: &Value, ack_id: Option<i64>) -> bool {
        let (Ok(event), Some(text)) = (CommonParser.read_event(value), value.as_str()) else {
            return false;
        };
        let most = self.gates[gate].mount.ports.limits.event_max();
        let text = (text.len() <= most).then(|| text.clone());
        let delivery =
            Delivery { event: event.to_owned(), text, ack: None, ack_id, came: Instant::now() };
        let (outbox, sink) = {
            let places = self.places();
            let place = places.taken.iter().find(|(taken, _)| *taken == gate);
            let Some((_, Place::In(entered, sink))) = place else { return false };
            (entered.outbox.clone(), sink.upgrade())
        };
        if let Some(sink) = sink {
            outbox.put(&sink, delivery);
        }
        true
    }

    /// Sends the client out of a namespace.
    pub(super) fn send_out(&self, gate: usize) {
        if self.leave(gate) {
            self.packet(Packet::disconnect(self.gates[gate].namespace));
        }
    }

    /// The client is out of a namespace. Was it in?
    fn leave(&self, gate: usize) -> bool {
        let place = {
            let mut places = self.places();
            let is_in =
                |(taken, place): &(usize, Place)| *taken == gate && matches!(place, Place::In(..));
            let found = places.taken.iter().position(is_in);
            let place = found.map(|at| places.taken.swap_remove(at).1);
            let is_inside = places.taken.iter().any(|(_, place)| matches!(place, Place::In(..)));
            self.is_inside.store(is_inside, Ordering::Relaxed);
            place
        };
        place.as_ref().map(Place::left).is_some()
    }

    /// The connection has ended.
    pub(super) fn end(&self) {
        let taken = {
            let mut places = self.places();
            places.is_over = true;
            std::mem::take(&mut places.taken)
        };
        taken.iter().for_each(|(_, place)| place.left());
    }

    /// Tells that the client is not let into a namespace, and why.
    fn refuse(&self, gate: &Gate, refusal: &Refusal) -> bool {
        let namespace = match gate.namespace {
            "/" => String::new(),
            own => format!("{own},"),
        };
        self.send(frame::text(&format!("44{namespace}{}", refusal.payload())))
    }

    fn packet(&self, packet: Packet) -> bool {
        match CommonParser.encode(packet) {
            Value::Str(text, _) => self.send(frame::text(&format!("4{text}"))),
            Value::Bytes(_) => false,
        }
    }

    /// Hands a frame over, if there is room; if not, the client is cut off. Who was cut off already
    /// hears nothing more: a refusal would keep official clients from coming again.
    fn send(&self, frame: Bytes) -> bool {
        if self.switch.is_cut() {
            return false;
        }
        let most = self.gates.first().map_or(0, |gate| gate.mount.ports.queue_bytes);
        let outbound = self.switch.outbound();
        let outbound = outbound.filter(|outbound| outbound.backlog().put(frame.len(), most));
        match outbound {
            Some(outbound) => outbound.push(&Bytes::new(), frame),
            None => {
                let reason = CloseReason::SlowReader.as_str();
                metrics::counter!("switchboard_closed_total", "reason" => reason).increment(1);
                self.switch.kill();
            }
        }
        outbound.is_some()
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn left(&self) {
        if let Self::In(entered, sink) = self {
            if let Some(sink) = sink.upgrade() {
                sink.gone();
            }
            entered.gone.cancel();
        }
    }
}
