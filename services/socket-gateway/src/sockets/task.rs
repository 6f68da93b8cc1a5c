//! One task a socket: takes events in order, asks the dialect that they belong to, acknowledges.
//! Posts that came while the last ones were being stored go on together.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chat_core::{ChatError, CloseReason, Code, Follow, Result, Sink, chat::RUN_MAX};
use dialects::{
    allowance::Allowance,
    observe::{self, Counted},
    socket::{Client, Conversing, Leg},
};
use futures_util::{FutureExt as _, future::join_all};
use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::timeout,
};
use tracing::{Instrument, Span};

use super::{
    Mount,
    inbox::{Delivery, Inbox},
    sink::SocketSink,
};
use crate::stays::Entry;

/// Longest part of an unknown event's name that is sent back.
const NAME_MAX: usize = 64;

/// Bytes of events that are handled together.
const RUN_BYTES: usize = 64 * 1024;

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
    pub allowance: Allowance,
    pub begun: oneshot::Receiver<()>,
    pub _bound: Option<Follow>,
    pub _place: OwnedSemaphorePermit,
    pub _entry: Option<Entry>,
    pub _counted: Counted,
}

impl Seat {
    /// Lives as long as the socket.
    pub(super) async fn live(mut self) {
        if matches!(timeout(BEGIN, &mut self.begun).await, Ok(Ok(()))) {
            self.sink.release();
            // Whoever it happens to comes back with a new socket; nobody else notices.
            if AssertUnwindSafe(self.serve()).catch_unwind().await.is_err() {
                tracing::error!("a handler panicked, its socket is cut");
                self.sink.cut();
            }
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
    /// only slowed down. If it may, what came after it goes with it.
    async fn handle(&mut self, delivery: Delivery) {
        self.sink.has_room().await;
        if let Err(refusal) = self.allowance.take(&delivery.event, delivery.came) {
            // No span, no line in the log: there may be very many.
            return self.sink.reply(delivery, Err(refusal));
        }
        let (place, payload) = match read(&self.sides, &delivery) {
            Ok(read) => read,
            Err(refusal) => {
                let span = observe::nobodys().came(1);
                return span.in_scope(|| self.reply(delivery, Err(refusal)));
            }
        };
        let more = self.more_like(&delivery, place);
        let (leg, side) = &mut self.sides[place];
        let kind = observe::kind(leg.protocol(), &delivery.event);
        let span = kind.came(1 + more.len());
        if more.is_empty() {
            let came = delivery.came;
            let answer = side.handle(&delivery.event, payload).instrument(span.clone()).await;
            span.in_scope(|| self.reply(delivery, answer));
            return kind.answered(came);
        }
        let (mut run, mut payloads) = (vec![delivery], vec![payload]);
        for (delivery, payload) in more {
            run.push(delivery);
            payloads.push(payload);
        }
        let handled = side.handle_run(&run[0].event, payloads);
        let answers = handled.instrument(span.clone()).await;
        for (delivery, answer) in run.into_iter().zip(answers) {
            self.sink.has_room().await;
            let came = delivery.came;
            span.in_scope(|| self.reply(delivery, answer));
            kind.answered(came);
        }
    }

    /// What has come in right after an event and goes with it, to the same side.
    fn more_like(&self, first: &Delivery, place: usize) -> Vec<(Delivery, Value)> {
        if !self.sides[place].1.takes_runs(&first.event) {
            return Vec::new();
        }
        let (mut count, mut bytes) = (1, first.size());
        self.inbox.take_while(|next| {
            count += 1;
            bytes += next.size();
            if next.event != first.event || count > RUN_MAX || bytes > RUN_BYTES {
                return None;
            }
            let (there, payload) = read(&self.sides, next).ok()?;
            let goes_along = there == place && self.allowance.take(&next.event, next.came).is_ok();
            goes_along.then_some(payload)
        })
    }

    fn reply(&self, delivery: Delivery, answer: Result<Value>) {
        if let Err(error) = &answer {
            Span::current().record("switchboard.refusal", error.code().as_str());
            tracing::info!(event = shown(&delivery.event), code = %error.code(), "refused an event");
        }
        self.sink.reply(delivery, answer);
    }
}

/// Which side an event is for, and its payload.
fn read(sides: &[Side], delivery: &Delivery) -> Result<(usize, Value)> {
    let payload = delivery.payload()?;
    let place = sides.iter().position(|(leg, _)| leg.knows(&delivery.event, &payload));
    place
        .map(|place| (place, payload))
        .ok_or_else(|| ChatError::new(Code::UnknownEvent, "no enabled protocol has such an event"))
}

/// Opens all sides at once. If one can't begin, none does: the client comes back when it can.
pub(super) async fn open(mount: &Mount, client: &Client) -> Result<Vec<Side>> {
    let opening = mount.legs.iter().map(async |leg| {
        let side = leg.open(client.clone()).await?;
        Ok((Arc::clone(leg), side))
    });
    join_all(opening).await.into_iter().collect()
}

/// As much of an event's name as is worth telling.
pub(super) fn shown(event: &str) -> &str {
    event.char_indices().nth(NAME_MAX).map_or(event, |(end, _)| &event[..end])
}
