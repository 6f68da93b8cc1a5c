//! One task a socket: takes events in order, asks the dialect that they belong to, acknowledges.

use std::sync::{Arc, PoisonError, atomic::AtomicBool};

use chat_core::{ChatError, CloseReason, Code, Follow, Result, Sink};
use dialects::socket::{Client, Conversing, Leg};
use futures_util::future::join_all;
use serde_json::{Value, json};
use socketioxide::{SendError, extract::SocketRef};

use super::{
    Mount,
    handshake::{Seat, Seated},
    inbox::Delivery,
    sink::SocketSink,
};

/// Longest part of an unknown event's name that is sent back.
const NAME_MAX: usize = 64;

/// Starts the task of a socket that has just been let in.
pub(super) fn begin(mount: &Mount, socket: &SocketRef) {
    let seat = socket
        .extensions
        .get::<Seated>()
        .and_then(|seated| seated.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    if let Some(seat) = seat {
        mount.shutdown.spawn(live(mount.clone(), socket.clone(), seat));
    }
}

/// A protocol's side of this socket, beside the leg that knows its events.
type Side = (Arc<dyn Leg>, Box<dyn Conversing>);

async fn live(mount: Mount, socket: SocketRef, mut seat: Seat) {
    let sink: Arc<dyn Sink> = Arc::new(SocketSink {
        socket: socket.clone(),
        connections: Arc::clone(&mount.connections),
        shutdown: mount.shutdown.clone(),
        is_closing: AtomicBool::new(false),
    });
    let bind = |session| mount.ports.feed.bind(session, seat.key, Arc::clone(&sink));
    let _bound: Option<Follow> = seat.session.as_ref().map(bind);
    let client =
        Client { key: seat.key, session: seat.session.take(), sink, ports: mount.ports.clone() };
    let mut sides = open(&mount, &client).await;
    loop {
        let delivery = tokio::select! {
            biased;
            () = seat.gone.cancelled() => break,
            delivery = seat.inbox.next() => delivery,
        };
        let Some(delivery) = delivery else { break };
        handle(&socket, &*client.sink, &mut sides, delivery).await;
    }
    // What it had sent before it went still counts.
    while let Some(delivery) = seat.inbox.next_now() {
        handle(&socket, &*client.sink, &mut sides, delivery).await;
    }
    for (_, side) in &mut sides {
        side.close().await;
    }
}

/// All at once, so that what one has to ask first does not keep another from hearing. Where one
/// can't begin, the socket is sent away, to come back when it can.
async fn open(mount: &Mount, client: &Client) -> Vec<Side> {
    let opening = mount.legs.iter().map(async |leg| match leg.open(client.clone()).await {
        Ok(side) => Some((Arc::clone(leg), side)),
        Err(error) => {
            tracing::debug!(protocol = leg.protocol(), %error, "a socket could not begin");
            client.sink.close(CloseReason::Draining);
            None
        }
    });
    join_all(opening).await.into_iter().flatten().collect()
}

/// Handles one event. A socket that can't take its answer is closed: it would wait for ever.
async fn handle(socket: &SocketRef, sink: &dyn Sink, sides: &mut [Side], delivery: Delivery) {
    let answer = ask(sides, &delivery).await;
    if let Err(error) = &answer {
        tracing::info!(event = shown(&delivery.event), code = %error.code(), "refused an event");
    }
    if reply(socket, delivery, answer).is_err() && socket.connected() {
        sink.close(CloseReason::SlowReader);
    }
}

async fn ask(sides: &mut [Side], delivery: &Delivery) -> Result<Value> {
    let (event, payload) = (&*delivery.event, delivery.payload()?);
    match sides.iter_mut().find(|(leg, _)| leg.knows(event, &payload)) {
        Some((_, side)) => side.handle(event, payload).await,
        None => Err(ChatError::new(Code::UnknownEvent, "no enabled protocol has such an event")),
    }
}

/// As much of an event's name as is worth telling.
fn shown(event: &str) -> &str {
    event.char_indices().nth(NAME_MAX).map_or(event, |(end, _)| &event[..end])
}

/// Acknowledges, where the client asked for it; otherwise sends a refusal as an `error` event.
pub(super) fn reply(
    socket: &SocketRef,
    delivery: Delivery,
    answer: Result<Value>,
) -> std::result::Result<(), SendError> {
    match answer {
        Ok(body) => delivery.ack.send(&body),
        Err(error) if delivery.wants_ack => delivery.ack.send(&json!({
            "success": false, "error": error.message(), "code": error.code().as_str(),
        })),
        Err(error) => {
            let (event, code) = (shown(&delivery.event), error.code().as_str());
            socket.emit("error", &json!({"event": event, "code": code, "error": error.message()}))
        }
    }
}
