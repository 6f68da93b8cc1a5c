//! One task a socket: takes events in order, asks the dialect that they belong to, acknowledges.

use std::{sync::Arc, time::Duration};

use chat_core::{ChatError, CloseReason, Code, Follow, Result, Sink};
use dialects::socket::{Client, Conversing, Leg};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::timeout,
};

use super::{
    Mount,
    inbox::{Delivery, Inbox},
    sink::SocketSink,
};

/// Longest part of an unknown event's name that is sent back.
const NAME_MAX: usize = 64;

/// How long the client may take to hear that it is in.
const BEGIN: Duration = Duration::from_secs(15);

/// How long a client that was told to go may take to read the last answers.
const FAREWELL: Duration = Duration::from_secs(2);

/// A protocol's side of a socket, beside the leg that knows its events.
pub(super) type Side = (Arc<dyn Leg>, Box<dyn Conversing>);

/// All that a socket's task needs.
pub(super) struct Seat {
    pub sink: Arc<SocketSink>,
    pub sides: Vec<Side>,
    pub inbox: Inbox,
    pub begun: oneshot::Receiver<()>,
    pub _bound: Option<Follow>,
    pub _place: OwnedSemaphorePermit,
}

impl Seat {
    /// Lives as long as the socket.
    pub(super) async fn live(mut self) {
        if matches!(timeout(BEGIN, &mut self.begun).await, Ok(Ok(()))) {
            self.sink.release();
            self.serve().await;
        }
        for (_, side) in &mut self.sides {
            side.close().await;
        }
    }

    /// Handles events until the socket is gone, or is told to go: then what has come in is still
    /// handled and acknowledged.
    async fn serve(&mut self) {
        let sink = Arc::clone(&self.sink);
        let mut told_to_go = std::pin::pin!(sink.told_to_go());
        loop {
            let delivery = tokio::select! {
                biased;
                () = &mut told_to_go => break,
                delivery = self.inbox.next() => delivery,
            };
            match delivery {
                Some(delivery) => self.handle(delivery).await,
                None => return,
            }
        }
        for _ in 0..self.inbox.len() {
            let Some(delivery) = self.inbox.next().await else { return };
            self.handle(delivery).await;
        }
        // What its writer still has goes out first.
        let _ = timeout(FAREWELL, sink.has_written()).await;
        sink.close(CloseReason::Draining);
    }

    /// Handles one event, once there is room for its answer: who asks for more than it reads is
    /// only slowed down.
    async fn handle(&mut self, delivery: Delivery) {
        self.sink.has_room().await;
        let answer = ask(&mut self.sides, &delivery).await;
        if let Err(error) = &answer {
            tracing::info!(event = shown(&delivery.event), code = %error.code(), "refused an event");
        }
        self.sink.reply(delivery, answer);
    }
}

/// Opens all sides at once. If one can't begin, none does: the client comes back when it can.
pub(super) async fn open(mount: &Mount, client: &Client) -> Result<Vec<Side>> {
    let opening = mount.legs.iter().map(async |leg| {
        let side = leg.open(client.clone()).await?;
        Ok((Arc::clone(leg), side))
    });
    join_all(opening).await.into_iter().collect()
}

async fn ask(sides: &mut [Side], delivery: &Delivery) -> Result<Value> {
    let (event, payload) = (&*delivery.event, delivery.payload()?);
    match sides.iter_mut().find(|(leg, _)| leg.knows(event, &payload)) {
        Some((_, side)) => side.handle(event, payload).await,
        None => Err(ChatError::new(Code::UnknownEvent, "no enabled protocol has such an event")),
    }
}

/// As much of an event's name as is worth telling.
pub(super) fn shown(event: &str) -> &str {
    event.char_indices().nth(NAME_MAX).map_or(event, |(end, _)| &event[..end])
}
