//! All replicas of message-api: who they are, and which one a call goes to.
//!
//! A URL may name a host with several addresses (a headless Service): each is a replica, and the
//! name is looked up again and again. Of those that serve, the one with the fewest calls under way
//! is asked; in turn if that is the same. Those that are away are asked by their probes only.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chat_core::{
    ChatError, Result,
    process::{Backoff, Shutdown},
};
use switchboard_proto::{status::to_error, v1};
use tokio::{
    net::lookup_host,
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tonic::{Code, Response, Status, transport::ClientTlsConfig};

use super::{
    Client,
    fate::{Failed, Fate, Twice},
    replica::{Replica, State},
    run::Run,
    token::Token,
    turns::{Clock, Lane, NoTurn},
};

/// Most time that one ask may take, other tries included and waits for its turn not.
const DEADLINE: Duration = Duration::from_secs(5);
/// For so long an ask goes again to a replica that it has tried already.
const REPEATS: Duration = Duration::from_millis(1_500);
/// For so long after the last replica went away an ask waits for one to come back.
const RESTART: Duration = Duration::from_secs(1);
/// Later it waits for so long: time for a probe.
const GLANCE: Duration = Duration::from_millis(300);
/// How often names are looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);
/// How long that may take.
const LOOK_UP: Duration = Duration::from_secs(3);
/// Most replicas.
const MOST: usize = 64;

/// What it takes to be let in: the service token, and TLS where it is spoken.
pub(super) type Access = (Token, Option<ClientTlsConfig>);

/// All replicas. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Replicas {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    urls: Vec<http::Uri>,
    access: Access,
    /// Calls that may be under way to each.
    calls_max: usize,
    all: RwLock<Vec<Arc<Replica>>>,
    turn: AtomicUsize,
    bell: watch::Sender<()>,
    began: Instant,
}

impl Replicas {
    /// Begins to look for them and after them.
    pub(super) fn find(
        urls: Vec<http::Uri>,
        access: Access,
        calls_max: usize,
        tasks: &Shutdown,
    ) -> Self {
        let (bell, began) = (watch::Sender::new(()), Instant::now());
        let (all, turn) = (RwLock::default(), AtomicUsize::new(0));
        let shared = Shared { urls, access, calls_max, all, turn, bell, began };
        let replicas = Self { shared: Arc::new(shared) };
        // Addresses need no look-up: known before the first call.
        let known: Vec<_> = replicas.shared.urls.iter().filter_map(literal).collect();
        replicas.become_these(known, tasks);
        if replicas.shared.urls.iter().any(|url| literal(url).is_none()) {
            tasks.spawn_until_stopped(replicas.clone().look_up_again_and_again(tasks.clone()));
        }
        replicas
    }

    /// One call, to whichever replicas it takes, when its turn has come there.
    pub(super) async fn call<A, F>(
        &self,
        twice: Twice,
        lane: Lane,
        call: impl Fn(Client) -> F,
    ) -> Result<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let call = &call;
        let ask = |replica: Arc<Replica>, deadline| async move {
            replica.call(deadline, call).await.map_err(Failed::from)
        };
        self.ask(Some(lane), ask, |fate| fate.may_move(twice)).await
    }

    /// A run of posts, over the streams of whichever replicas it takes. Those that carry a key may
    /// be sent twice.
    pub(super) async fn post(
        &self,
        posts: Vec<v1::PostMessageRequest>,
    ) -> Vec<Result<v1::Message>> {
        let run = Run::new(posts);
        let go = |replica: Arc<Replica>, deadline| {
            let run = &run;
            async move { run.go_to(&replica, deadline).await }
        };
        let failure = self.ask(None, go, |_| !run.is_decided()).await.err();
        run.answers(failure)
    }

    /// Asks one replica after the other until one answers, as long as what failed may move. Each
    /// lets it through when its turn in the lane has come, if there is one.
    async fn ask<A, F>(
        &self,
        lane: Option<Lane>,
        ask: impl Fn(Arc<Replica>, Instant) -> F,
        may_move: impl Fn(Fate) -> bool,
    ) -> Result<A>
    where
        F: Future<Output = Result<A, Failed>>,
    {
        let mut clock = Clock::start();
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(400));
        let (mut tried, mut last) = (HashSet::new(), None);
        loop {
            let Some(replica) = self.pick(&tried) else {
                if self.one_comes_back(clock.began()).await {
                    continue;
                }
                return Err(last.as_ref().map_or_else(silence, to_error));
            };
            if !tried.insert(replica.address) {
                let delay = backoff.next_delay();
                if clock.began().elapsed() + delay > REPEATS {
                    return Err(last.as_ref().map_or_else(silence, to_error));
                }
                sleep(delay).await;
                tried.clear();
                continue;
            }
            let turn = match &lane {
                Some(lane) => match clock.turn(replica.turns(), lane, replica.watch()).await {
                    Ok(turn) => Some(turn),
                    Err(NoTurn::Changed) => {
                        tried.remove(&replica.address);
                        continue;
                    }
                    Err(NoTurn::Refused(why)) => {
                        return Err(ChatError::unavailable("message-api", why));
                    }
                },
                None => None,
            };
            let deadline = clock.began() + DEADLINE;
            let Failed { fate, status } = match ask(Arc::clone(&replica), deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            drop(turn);
            match fate {
                Fate::Answered => return Err(to_error(&status)),
                Fate::Unavailable | Fate::Full => replica.is_unavailable(),
                Fate::Unknown if status.code() == Code::DeadlineExceeded => {
                    replica.is_unavailable();
                }
                Fate::NotSent | Fate::Unknown => replica.is_gone(),
            }
            if Instant::now() >= deadline || !may_move(fate) {
                return Err(to_error(&status));
            }
            metrics::counter!("switchboard_calls_repeated_total").increment(1);
            last = Some(status);
        }
    }

    fn all(&self) -> Vec<Arc<Replica>> {
        self.shared.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The best that is not away; one that was not tried yet, if there is any.
    fn pick(&self, tried: &HashSet<SocketAddr>) -> Option<Arc<Replica>> {
        let mut all = self.all();
        if all.is_empty() {
            return None;
        }
        // The first of those that are alike wins: another one each time.
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed) % all.len();
        all.rotate_left(turn);
        all.into_iter()
            .filter(|replica| !replica.state().is_away())
            .min_by_key(|r| (tried.contains(&r.address), r.rank(), r.calls()))
    }

    /// Waits until a replica is not away: for the time of a restart if they went just now, hardly
    /// if they have long been away.
    async fn one_comes_back(&self, began: Instant) -> bool {
        let mut bell = self.shared.bell.subscribe();
        let all = self.all();
        all.iter().for_each(|replica| replica.probe_soon());
        let since = all.iter().map(|replica| replica.since()).max().unwrap_or(self.shared.began);
        let until = (since + RESTART).max(began + GLANCE).min(began + DEADLINE);
        loop {
            if self.all().iter().any(|replica| !replica.state().is_away()) {
                return true;
            }
            if !matches!(timeout_at(until, bell.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    async fn look_up_again_and_again(self, tasks: Shutdown) {
        loop {
            let mut found = Vec::new();
            for url in &self.shared.urls {
                found.extend(self.addresses(url).await);
            }
            self.become_these(found, &tasks);
            let soon = self.all().iter().all(|replica| replica.state().is_away());
            sleep(if soon { LOOK_UP_EVERY / 5 } else { LOOK_UP_EVERY }).await;
        }
    }

    /// Where a URL's host is now. A look-up that fails changes nothing.
    async fn addresses(&self, url: &http::Uri) -> Vec<(http::Uri, SocketAddr)> {
        if let Some(known) = literal(url) {
            return vec![known];
        }
        let (host, port) = (url.host().unwrap_or_default(), port(url));
        match timeout(LOOK_UP, lookup_host((host, port))).await {
            Ok(Ok(found)) => found.map(|address| (url.clone(), address)).collect(),
            Ok(Err(_)) | Err(_) => {
                metrics::counter!("switchboard_lookups_failed_total").increment(1);
                let former = self.all().into_iter().filter(|r| r.is_of(url));
                former.map(|replica| (url.clone(), replica.address)).collect()
            }
        }
    }

    /// Keeps the replicas that stay, begins with new ones, lets go of the others.
    fn become_these(&self, found: Vec<(http::Uri, SocketAddr)>, tasks: &Shutdown) {
        let old = self.all();
        let (mut all, mut seen): (Vec<Arc<Replica>>, _) = (Vec::new(), HashSet::new());
        for (url, address) in found.into_iter().filter(|(_, at)| seen.insert(*at)).take(MOST) {
            if let Some(known) = old.iter().find(|replica| replica.address == address) {
                all.push(Arc::clone(known));
                continue;
            }
            let bell = self.shared.bell.clone();
            let Shared { access, calls_max, .. } = &*self.shared;
            match Replica::new((&url, address), access.clone(), *calls_max, bell, tasks) {
                Ok(replica) => {
                    let replica = Arc::new(replica);
                    tasks.spawn_until_stopped(self.clone().look_after(Arc::downgrade(&replica)));
                    all.push(replica);
                }
                Err(error) => tracing::error!(%address, %error, "not a place of message-api"),
            }
        }
        *self.shared.all.write().unwrap_or_else(PoisonError::into_inner) = all;
        self.shared.bell.send_replace(());
        self.measure();
    }

    /// Probes a replica until it is let go of.
    async fn look_after(self, replica: Weak<Replica>) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        while let Some(replica) = replica.upgrade() {
            replica.probe().await;
            self.measure();
            if !replica.state().is_away() {
                backoff.reset();
            }
            replica.pause(&mut backoff).await;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few replicas")]
    fn measure(&self) {
        let (all, serving) = self.count();
        metrics::gauge!("switchboard_message_api_replicas").set(all as f64);
        metrics::gauge!("switchboard_message_api_replicas_serving").set(serving as f64);
    }

    /// How many there are, and how many of them serve.
    pub(super) fn count(&self) -> (usize, usize) {
        let all = self.all();
        (all.len(), all.iter().filter(|replica| replica.state() == State::Serving).count())
    }
}

fn silence() -> ChatError {
    ChatError::unavailable("message-api", "no replica answers")
}

fn port(url: &http::Uri) -> u16 {
    url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 })
}

/// The address in a URL that needs no look-up.
fn literal(url: &http::Uri) -> Option<(http::Uri, SocketAddr)> {
    let host: IpAddr = url.host()?.trim_matches(['[', ']']).parse().ok()?;
    Some((url.clone(), SocketAddr::new(host, port(url))))
}
