//! Who is in which room, and who is online at all, over all gateways, by lease in Redis.
//!
//! | file | what it does |
//! |---|---|
//! | [`member`] | who is where: names of keys, what is announced |
//! | [`local`] | the sockets here, and what Redis has been told of them |
//! | [`registry`], [`scripts`] | tells Redis, keeps the lease, clears the dead |
//! | [`census`] | reads who is where, for the rosters in `feed` |
//!
//! Redis hears only of a user's first socket in a place on this gateway, and of the last. There,
//! `place:<id>` (and `place:online`) counts for each user the gateways where they are, and
//! `digests` sums up each place, `came:<id>` says when who is in a room came; `gateway:<epoch>` lists what a gateway has entered; `gateways`
//! holds the end of each gateway's lease, `fences` its generation, `left` who said farewell. A
//! script changes all of them at once and publishes a first or a last; whose lease ends is cleared
//! by the others. `born` tells Redis from Redis emptied: then each gateway says everything again
//! within one beat, and for one lease nobody counts as gone because Redis lacks them.
//!
//! The promise: whoever was on a gateway that died, hung or lost Redis is gone for the others
//! within 15 s: [`LEASE`], then one beat of another gateway, then a batch or two. They are told of
//! again, once, when that gateway is back.

mod census;
mod local;
mod member;
mod registry;
mod scripts;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chat_core::{Caller, ConversationId, SocketKey, User, process::Shutdown};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

pub use self::{
    census::{Census, Listed, Present},
    member::{Place, field_of_user, user_of_field, weight},
    registry::Registry,
};
use self::{
    local::{Local, NO_SOCKET},
    member::Member,
    registry::{BATCH, Cleared, Renewed},
};

/// How long a gateway's word counts. Others notice its death after this and one beat more.
const LEASE: Duration = Duration::from_secs(8);

/// How often the lease is renewed, and the dead are looked for.
const BEAT: Duration = Duration::from_secs(2);

/// Every so many beats, a minute, what Redis lists here is compared with what is here: a failover
/// may have forgotten the last second without a word.
const BEATS_A_CHECK: u32 = 30;

/// How long a user may be without a socket before that counts.
const GRACE: Duration = Duration::from_secs(1);

/// How long users may take to come back elsewhere without having left, from the moment when the
/// last socket of a planned stop is gone.
const FAREWELL: Duration = Duration::from_secs(5);

/// This gateway's part in presence.
#[derive(Clone, Default)]
pub struct Presence {
    local: Arc<Local>,
}

impl Presence {
    /// A socket enters a room.
    pub fn enter(&self, conversation: ConversationId, who: &Caller, socket: SocketKey) {
        self.local.enter(Member::InRoom(conversation, who.name().clone()), socket);
    }

    /// A socket leaves a room.
    pub fn leave(&self, conversation: ConversationId, who: &Caller, socket: SocketKey) {
        self.local.leave(&Member::InRoom(conversation, who.name().clone()), socket, false);
    }

    /// A user's socket is there.
    pub fn connect(&self, user: &User, socket: SocketKey) {
        self.local.enter(Member::Online(user.clone()), socket);
    }

    /// A user's socket is gone. Who comes back within the grace, here or elsewhere, was never
    /// offline: a page that reloads does not flap.
    pub fn disconnect(&self, user: &User, socket: SocketKey, tasks: &Shutdown) {
        let member = Member::Online(user.clone());
        if let Some(absence) = self.local.leave(&member, socket, true) {
            let local = Arc::clone(&self.local);
            tasks.spawn_until_stopped(async move {
                sleep(GRACE).await;
                local.let_go(&member, absence);
            });
        }
    }

    /// Since when is who has this field here? They are not gone, whatever Redis says.
    #[must_use]
    pub fn here_since(&self, place: Place, field: &str) -> Option<Instant> {
        self.local.here_since(place, field)
    }

    /// One of their sockets here, or one that nobody has.
    #[must_use]
    pub fn socket(&self, place: Place, field: &str) -> SocketKey {
        self.local.socket(place, field).unwrap_or(NO_SOCKET)
    }

    /// Keeps the lease and tells Redis what moves, until shutdown; then says farewell. Runs
    /// `trouble` when others may have missed something, or this gateway may.
    pub async fn run(
        self,
        mut registry: Registry,
        trouble: impl Fn() + Send + 'static,
        shutdown: Shutdown,
    ) {
        let mut beats = 0_u32;
        let mut renewed = Instant::now();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.begun() => break,
                _ = beat.tick() => {
                    beats = beats.wrapping_add(1);
                    if self.beat(&mut registry, beats, renewed, &trouble).await {
                        renewed = Instant::now();
                    }
                    self.measure(renewed);
                }
                // One batch at a time: the lease comes first.
                () = self.local.changed(), if registry.is_in_step() => {
                    if !registry.record(&self.local.take(BATCH)).await {
                        beat.reset_immediately();
                    }
                }
            }
        }
        self.farewell(&mut registry).await;
    }

    /// Keeps a short lease until the last socket is gone: a drain takes its time, and who is told
    /// to go last has not left before. What moves is told no more.
    async fn farewell(&self, registry: &mut Registry) {
        loop {
            registry.farewell(FAREWELL).await;
            if !self.local.has_sockets() {
                return;
            }
            let _ = timeout(BEAT, self.local.emptied()).await;
        }
    }

    /// Was the lease renewed? Last time it was at `before`.
    async fn beat(
        &self,
        registry: &mut Registry,
        beats: u32,
        before: Instant,
        trouble: &impl Fn(),
    ) -> bool {
        let Some(renewed) = registry.renew().await else { return false };
        if before.elapsed() >= LEASE {
            self.local.lapse();
        }
        if renewed != Renewed::Held || beats.is_multiple_of(BEATS_A_CHECK) {
            let Some(listed) = registry.listed().await else { return true };
            let differences = self.local.reconcile(listed, renewed == Renewed::Emptied);
            if renewed != Renewed::Held {
                metrics::counter!("switchboard_presence_restatements_total").increment(1);
                tracing::info!(?renewed, differences, "presence: telling Redis everything again");
                trouble();
            }
        }
        let cleared = registry.clear_the_dead().await;
        if cleared.forgotten > 0 {
            let Cleared { forgotten, died } = cleared;
            metrics::counter!("switchboard_presence_dead_gateways_total").increment(died);
            tracing::info!(forgotten, died, "presence: cleared gateways whose lease was over");
            trouble();
        }
        true
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge of a few thousand")]
    fn measure(&self, renewed: Instant) {
        let (in_rooms, online, waiting) = self.local.counts();
        metrics::gauge!("switchboard_presence_lease_age_seconds")
            .set(renewed.elapsed().as_secs_f64());
        metrics::gauge!("switchboard_presence_members", "kind" => "room").set(in_rooms as f64);
        metrics::gauge!("switchboard_presence_members", "kind" => "online").set(online as f64);
        metrics::gauge!("switchboard_presence_moves_waiting").set(waiting as f64);
    }
}
