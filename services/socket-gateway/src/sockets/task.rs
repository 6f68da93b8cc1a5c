//! One task a socket: takes events in order, asks the dialect that they belong to, acknowledges.

use std::sync::{Arc, PoisonError};

use chat_core::{ChatError, Code, Follow, Result, Sink};
use dialects::socket::{Client, Conversing, Leg};
use serde_json::{Value, json};
use socketioxide::extract::SocketRef;

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
        handle(&socket, &mut sides, delivery).await;
    }
    // What it had sent before it went still counts.
    while let Some(delivery) = seat.inbox.next_now() {
        handle(&socket, &mut sides, delivery).await;
    }
    for (_, side) in &mut sides {
        side.close().await;
    }
}

async fn open(mount: &Mount, client: &Client) -> Vec<Side> {
    let mut sides = Vec::with_capacity(mount.legs.len());
    for leg in mount.legs.iter() {
        match leg.open(client.clone()).await {
            Ok(side) => sides.push((Arc::clone(leg), side)),
            Err(error) => tracing::warn!(protocol = leg.protocol(), %error, "could not begin"),
        }
    }
    sides
}

async fn handle(socket: &SocketRef, sides: &mut [Side], mut delivery: Delivery) {
    let payload = std::mem::replace(&mut delivery.payload, Ok(Value::Null));
    let answer = ask(sides, &delivery.event, payload).await;
    reply(socket, delivery, answer);
}

async fn ask(
    sides: &mut [Side],
    event: &str,
    payload: std::result::Result<Value, String>,
) -> Result<Value> {
    let payload = payload.map_err(|cause| {
        ChatError::invalid_payload(format!("the payload is missing or not JSON: {cause}"))
    })?;
    match sides.iter_mut().find(|(leg, _)| leg.knows(event, &payload)) {
        Some((_, side)) => side.handle(event, payload).await,
        None => Err(ChatError::new(Code::UnknownEvent, "no enabled protocol has such an event")),
    }
}

/// Acknowledges, where the client asked for it; otherwise sends a refusal as an `error` event.
pub(super) fn reply(socket: &SocketRef, delivery: Delivery, answer: Result<Value>) {
    let sent = match answer {
        Ok(body) => delivery.ack.send(&body),
        Err(error) if delivery.wants_ack => delivery.ack.send(&json!({
            "success": false, "error": error.message(), "code": error.code().as_str(),
        })),
        Err(error) => {
            let event: String = delivery.event.chars().take(NAME_MAX).collect();
            let body = json!({
                "event": event, "code": error.code().as_str(), "error": error.message(),
            });
            socket.emit("error", &body)
        }
    };
    if let Err(cause) = sent {
        tracing::debug!(%cause, "an answer found its socket gone or full");
    }
}
