//! One replica of message-api: its connection, and whether calls should go there.
//!
//! Calls tell of what they meet, and a probe (gRPC's own health check) looks all the time: it finds
//! silence without risking a call, and recovery without waiting for one.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chat_core::process::{Backoff, Shutdown};
use switchboard_proto::{status::is_token_refused, v1};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tracing::Instrument;

use super::{
    Client, client,
    fate::{Failed, Fate},
    posts::{Answer, Posts},
    replicas::Access,
    spans,
    token::Token,
    turns::Turns,
};
use crate::counted::Counted;

/// The service that the probe asks for.
const SERVICE: &str = "switchboard.v1.ChatService";

/// How often a replica that answers is probed.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long a probe waits for its answer.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// Shortest time between two probes, however many calls wish for one.
const PROBE_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(1);
/// A connection on which nothing came for so long is asked, and has so long again to answer.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// What is known of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It answers and wants work. Believed of a replica until something else is known.
    Serving,
    /// It answers, but is not ready: something it needs is away, or it is about to stop.
    Ailing,
    /// There is no connection.
    Gone,
    /// There may be a connection, but nothing comes back.
    Silent,
}

impl State {
    pub(super) const fn is_away(self) -> bool {
        matches!(self, Self::Gone | Self::Silent)
    }
}

#[derive(Debug)]
struct Record {
    since: Instant,
    /// When anything last came back.
    heard: Option<Instant>,
    /// After it said `unavailable` others are asked first, until then.
    avoided: Option<Instant>,
    avoid: Backoff,
}

/// One replica.
#[derive(Debug)]
pub(super) struct Replica {
    /// Where.
    pub(super) address: SocketAddr,
    url: http::Uri,
    token: Token,
    client: Client,
    posts: Posts,
    turns: Turns,
    channel: Channel,
    state: watch::Sender<State>,
    record: Mutex<Record>,
    calls: AtomicUsize,
    wish: Notify,
    /// Rung whenever any replica's state changes.
    bell: watch::Sender<()>,
}

impl Replica {
    /// Connects when first used, and again whenever the connection is lost. `url` is what the
    /// setting says; the address is where its host is.
    pub(super) fn new(
        (url, address): (&http::Uri, SocketAddr),
        (token, tls): Access,
        calls_max: usize,
        bell: watch::Sender<()>,
        tasks: &Shutdown,
    ) -> Result<Self, tonic::transport::Error> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?;
        if let Some(tls) = tls {
            // The name in the certificate is the setting's, not the address that it led to.
            let name = url.host().unwrap_or_default().trim_matches(['[', ']']);
            endpoint = endpoint.tls_config(tls.domain_name(name))?;
        }
        let channel = endpoint
            .origin(url.clone())
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let record = Record {
            since: Instant::now(),
            heard: None,
            avoided: None,
            avoid: Backoff::new(Duration::from_millis(250), Duration::from_secs(4)),
        };
        let (client, state) =
            (client(channel.clone(), token.clone()), watch::Sender::new(State::Serving));
        let (posts, stream) = Posts::new(client.clone(), token.clone(), state.subscribe());
        tasks.spawn_until_stopped(stream);
        Ok(Self {
            address,
            url: url.clone(),
            token,
            client,
            posts,
            turns: Turns::new(calls_max),
            channel,
            state,
            record: Mutex::new(record),
            calls: AtomicUsize::new(0),
            wish: Notify::new(),
            bell,
        })
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Was it found by this URL?
    pub(super) fn is_of(&self, url: &http::Uri) -> bool {
        self.url == *url
    }

    /// What is known of it.
    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// What is known of it, with what calls have met there counted in.
    pub(super) fn rank(&self) -> State {
        let is_avoided = self.record().avoided.is_some_and(|until| Instant::now() < until);
        let least = if is_avoided { State::Ailing } else { State::Serving };
        self.state().max(least)
    }

    /// Since when.
    pub(super) fn since(&self) -> Instant {
        self.record().since
    }

    /// Calls under way, and those that wait for it.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed) + self.turns.waiting()
    }

    /// Where calls wait until it may be asked.
    pub(super) const fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Tells of its state, and of what becomes of it.
    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// One call. It is given up when the probe finds that nothing comes back from here any more.
    /// If the token is refused and there is another one, it is repeated with that.
    pub(super) async fn call<A, F>(
        &self,
        deadline: Instant,
        call: impl Fn(Client) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let _under_way = Counted::begin(&self.calls);
        let shown = self.token.shown();
        let answer = self.call_once(deadline, &call).await;
        match &answer {
            Err(status) if is_token_refused(status) && self.token.is_refused(shown.as_ref()) => {
                self.call_once(deadline, &call).await
            }
            _ => answer,
        }
    }

    async fn call_once<A, F>(
        &self,
        deadline: Instant,
        call: &impl Fn(Client) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut state = self.state.subscribe();
        let span = spans::call();
        let asked = call(self.client.clone()).instrument(span.clone());
        let answer = tokio::select! {
            biased;
            answer = tokio::time::timeout_at(deadline, asked) => {
                answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
            }
            _ = state.wait_for(|state| *state == State::Silent) => {
                Err(Status::unavailable("it has gone silent"))
            }
        };
        match &answer {
            Ok(_) => self.is_well(),
            Err(status) => drop(span.record("rpc.grpc.status_code", status.code() as i32)),
        }
        answer.map(Response::into_inner)
    }

    /// A run of posts, over the stream that all posts share.
    pub(super) async fn post(
        &self,
        deadline: Instant,
        run: Vec<v1::PostMessageRequest>,
    ) -> Vec<Answer> {
        let _under_way = Counted::begin(&self.calls);
        let count = run.len();
        let answers = tokio::time::timeout_at(deadline, self.posts.post(run)).await;
        let answers = answers.unwrap_or_else(|_| {
            vec![Err(Failed::from(Status::deadline_exceeded("no answer"))); count]
        });
        if answers.iter().any(Result::is_ok) {
            self.is_well();
        }
        answers
    }

    /// The same by calls, one after the other. What comes after one that failed on its way is not
    /// sent.
    pub(super) async fn post_each(
        &self,
        deadline: Instant,
        run: Vec<v1::PostMessageRequest>,
    ) -> Vec<Answer> {
        let count = run.len();
        let mut answers = Vec::with_capacity(count);
        for post in run {
            let call = |mut client: Client| {
                let post = post.clone();
                async move { client.post_message(post).await }
            };
            let answer = self.call(deadline, call).await.map_err(Failed::from);
            let answer = answer.and_then(|answer| {
                let none = || Status::internal("an answer without a message").into();
                answer.message.ok_or_else(none)
            });
            let lost = answer.as_ref().err().filter(|failed| failed.fate != Fate::Answered);
            let lost = lost.map(|failed| Failed { fate: Fate::NotSent, ..failed.clone() });
            answers.push(answer);
            if let Some(lost) = lost {
                answers.resize(count, Err(lost));
                break;
            }
        }
        answers
    }

    /// A call was answered.
    fn is_well(&self) {
        let mut record = self.record();
        record.heard = Some(Instant::now());
        record.avoided = None;
        record.avoid.reset();
    }

    /// A call found no connection, or lost it.
    pub(super) fn is_gone(&self) {
        if !self.state().is_away() {
            self.enter(State::Gone);
        }
        self.probe_soon();
    }

    /// A call was answered by `unavailable`, or too late: others first, for a while that grows.
    pub(super) fn is_unavailable(&self) {
        let mut record = self.record();
        if record.avoided.is_none_or(|until| until <= Instant::now()) {
            record.avoided = Some(Instant::now() + record.avoid.next_delay());
        }
    }

    /// Somebody waits to hear whether it is back.
    pub(super) fn probe_soon(&self) {
        self.wish.notify_one();
    }

    fn enter(&self, state: State) {
        let changed = self.state.send_if_modified(|old| std::mem::replace(old, state) != state);
        if changed {
            self.record().since = Instant::now();
            tracing::info!(address = %self.address, ?state, "message-api");
            self.bell.send_replace(());
        }
    }

    /// Waits until it is time for the next probe.
    pub(super) async fn pause(&self, backoff: &mut Backoff) {
        let pause = if self.state().is_away() { backoff.next_delay() } else { PROBE_EVERY };
        tokio::select! { () = sleep(pause) => {}, () = self.wish.notified() => sleep(PROBE_PAUSE).await }
    }

    /// Looks whether it answers.
    pub(super) async fn probe(&self) {
        let asked = Instant::now();
        let request = HealthCheckRequest { service: SERVICE.to_owned() };
        // Who shows no token is not let stay.
        let mut health = HealthClient::with_interceptor(self.channel.clone(), self.token.clone());
        let state = match timeout(PROBE_PATIENCE, health.check(request)).await {
            Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => State::Serving,
            Ok(Ok(_)) => State::Ailing,
            // A message-api without health checks is one that serves.
            Ok(Err(status)) if matches!(status.code(), Code::Unimplemented | Code::NotFound) => {
                State::Serving
            }
            Ok(Err(_)) => State::Gone,
            // Busy, perhaps, but other calls were answered meanwhile.
            Err(_) if self.record().heard.is_some_and(|heard| heard > asked) => return,
            Err(_) => State::Silent,
        };
        self.enter(state);
    }
}
