//! The stream of everything durable, for services that watch. From proto/; next watch/.

use std::collections::{BTreeSet, VecDeque};

use chat_core::{Change, ChatError, Code, ConversationId, process::Shutdown};
use futures_util::{
    future::BoxFuture,
    stream::{self, Stream},
};
use prost::Message as _;
use switchboard_proto::{
    status::{DEADLINE_EXCEEDED, SERVICE_TOKEN_REFUSED, with_reason},
    v1::{self, watch_events_request::Since as Asked},
};
use tokio::time::sleep_until;
use tonic::{Request, Status};

use super::{
    Service,
    gate::Deadline,
    refused,
    tokens::{ServiceName, ServiceTokens, Shown},
};
use crate::watch::{CHOSEN_MAX, Since, Told, Watcher, Watches};

/// Bytes of changes in one message, give or take a change; far below what clients take.
const MESSAGE_BYTES: usize = 1 << 20;

/// Who watches, as the gate has found out.
pub(super) struct Watching {
    service: ServiceName,
    shown: Shown,
    deadline: Option<Deadline>,
    tokens: ServiceTokens,
    stop: Shutdown,
}

impl Watching {
    pub(super) fn of<T>(request: &Request<T>, of: &Service) -> Result<Self, Status> {
        let met = request.extensions();
        let passed = met.get::<ServiceName>().cloned().zip(met.get::<Shown>().copied());
        let (service, shown) = passed.ok_or_else(|| Status::internal("it went past the gate"))?;
        let deadline = met.get::<Deadline>().copied();
        let (tokens, stop) = (of.tokens.clone(), of.stop.clone());
        Ok(Self { service, shown, deadline, tokens, stop })
    }

    pub(super) const fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Until shutdown begins or the token is taken away.
    pub(super) fn ends(self) -> BoxFuture<'static, ()> {
        let Self { service, shown, tokens, stop, .. } = self;
        Box::pin(async move {
            tokio::select! {
                () = stop.begun() => {}
                () = tokens.taken_away(shown, &service) => {}
            }
        })
    }
}

/// Begins to watch.
pub(super) async fn begin(
    watches: &Watches,
    service: &ServiceName,
    request: v1::WatchEventsRequest,
) -> Result<Watcher, ChatError> {
    let chosen = chosen(&request.conversation_ids)?;
    let since = match request.since {
        None => Since::Now,
        Some(Asked::Cursor(cursor)) => Since::Cursor(cursor),
        Some(Asked::From(from)) => match v1::WatchFrom::try_from(from) {
            Ok(v1::WatchFrom::Unspecified | v1::WatchFrom::Now) => Since::Now,
            Ok(v1::WatchFrom::Beginning) => Since::Beginning,
            Err(_) => {
                let sentence = "from is none of those that there are";
                return Err(ChatError::invalid_payload(sentence).of_field("from"));
            }
        },
    };
    watches.watch(service.0.clone(), chosen, since).await
}

fn chosen(raw: &[String]) -> Result<BTreeSet<ConversationId>, ChatError> {
    if raw.len() > CHOSEN_MAX {
        let sentence = "at most 100 conversations, or all";
        return Err(ChatError::invalid_payload(sentence).of_field("conversation_ids"));
    }
    raw.iter().map(|id| id.parse()).collect()
}

/// What is told, until one of the two ends it.
pub(super) fn answers(
    watcher: Watcher,
    watching: Watching,
) -> impl Stream<Item = Result<v1::WatchEventsResponse, Status>> {
    let telling = Telling { watcher, watching, cursor: String::new(), waiting: VecDeque::new() };
    stream::unfold(Some(telling), async |telling| {
        let mut telling = telling?;
        match telling.next().await {
            Ok(message) => Some((Ok(message), Some(telling))),
            Err(status) => Some((Err(status), None)),
        }
    })
}

struct Telling {
    watcher: Watcher,
    watching: Watching,
    /// The newest that was told.
    cursor: String,
    /// Read already.
    waiting: VecDeque<v1::WatchEventsResponse>,
}

impl Telling {
    async fn next(&mut self) -> Result<v1::WatchEventsResponse, Status> {
        if let Some(message) = self.waiting.pop_front() {
            return Ok(message);
        }
        let Told { changes, cursor } = next(&mut self.watcher, &self.watching).await?;
        let former = std::mem::replace(&mut self.cursor, cursor.clone());
        self.waiting = messages(&changes, &former).into();
        match self.waiting.back_mut() {
            Some(last) => last.cursor = cursor,
            None => return Ok(v1::WatchEventsResponse { changes: Vec::new(), cursor }),
        }
        self.waiting.pop_front().ok_or_else(|| Status::internal("nothing to tell"))
    }
}

/// Changes in messages that are not too large, each with the cursor of before them all.
fn messages(changes: &[Change], former: &str) -> Vec<v1::WatchEventsResponse> {
    let mut messages: Vec<v1::WatchEventsResponse> = Vec::new();
    let mut bytes = usize::MAX;
    for change in changes.iter().map(v1::Change::from) {
        if bytes >= MESSAGE_BYTES {
            messages.push(v1::WatchEventsResponse { changes: Vec::new(), cursor: former.into() });
            bytes = 0;
        }
        bytes += change.encoded_len();
        if let Some(last) = messages.last_mut() {
            last.changes.push(change);
        }
    }
    messages
}

async fn next(watcher: &mut Watcher, watching: &Watching) -> Result<Told, Status> {
    let Watching { service, shown, deadline, tokens, stop } = watching;
    let ends = async {
        match deadline {
            Some(Deadline(at)) => sleep_until(*at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stop.begun() => {
            let sentence = "this replica stops: go on at another one, with the last cursor";
            Err(refused(&ChatError::new(Code::Unavailable, sentence)))
        }
        () = ends => {
            let sentence = "the deadline of this stream: go on with the last cursor";
            Err(with_reason(tonic::Code::DeadlineExceeded, DEADLINE_EXCEEDED, sentence))
        }
        () = tokens.taken_away(*shown, service) => {
            let sentence = "the token that this stream began with has been taken away";
            Err(with_reason(tonic::Code::Unauthenticated, SERVICE_TOKEN_REFUSED, sentence))
        }
        told = watcher.next() => told.map_err(|refusal| refused(&refusal)),
    }
}
