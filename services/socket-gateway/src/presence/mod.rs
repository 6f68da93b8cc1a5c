//! Who is in which room, and who is online at all, over all gateways, by lease in Redis.
//!
//! Redis hears only of a user's first socket in a place on this gateway, and of the last. There,
//! `room:<id>` (and `room:online`) counts for each user the gateways where they are; `gateway:<epoch>` lists what a
//! gateway has entered; `gateways` holds the end of each gateway's lease. The scripts change all
//! three at once, so exactly one of them sees a user's first or last and tells the room. Whose
//! lease ends without a word is cleared by the others.
//!
//! All keys share one hash tag: on Redis Cluster they are in one slot.

mod local;
mod scripts;

use std::{sync::Arc, time::Duration};

use chat_core::{Caller, ConversationId, Fleeting, SocketKey, Topic, User, process::Shutdown};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{MissedTickBehavior, interval, sleep},
};

use self::local::{Local, Member, Move};
pub use self::scripts::Registry;
use crate::whisper::Whisperer;

/// How long a gateway's word counts. Others notice its death after this and one beat more.
const LEASE: Duration = Duration::from_secs(9);

/// How often the lease is renewed, and the dead are looked for.
const BEAT: Duration = Duration::from_secs(2);

/// Every so many beats the users online are compared with what the events said.
const BEATS_A_COMPARISON: u32 = 5;

/// How long a user may be without a socket before that counts.
const GRACE: Duration = Duration::from_secs(1);

/// How long after a planned stop users may take to come back elsewhere without having left.
const FAREWELL: Duration = Duration::from_secs(5);

/// This gateway's part in presence.
#[derive(Clone)]
pub struct Presence {
    local: Arc<Local>,
    // Bounded by the sockets here: each has at most one move under way in each of its rooms.
    moves: UnboundedSender<Move>,
}

/// What [`Presence`] has not yet told Redis.
pub struct Moves(UnboundedReceiver<Move>);

impl Presence {
    /// Nobody is anywhere yet.
    #[must_use]
    pub fn new() -> (Self, Moves) {
        let (moves, receiver) = unbounded_channel();
        (Self { local: Arc::default(), moves }, Moves(receiver))
    }

    /// A socket enters a room.
    pub fn enter(&self, conversation: ConversationId, who: &Caller, socket: SocketKey) {
        self.moves_in(Member::InRoom(conversation, who.clone()), socket);
    }

    /// A socket leaves a room.
    pub fn leave(&self, conversation: ConversationId, who: &Caller, socket: SocketKey) {
        self.moves_out(Member::InRoom(conversation, who.clone()), socket);
    }

    /// A user's socket is there.
    pub fn connect(&self, user: &User, socket: SocketKey) {
        self.moves_in(Member::Online(user.clone()), socket);
    }

    /// A user's socket is gone. Who comes back within the grace, here or elsewhere, was never
    /// offline: a page that reloads does not flap.
    pub fn disconnect(&self, user: &User, socket: SocketKey, tasks: &Shutdown) {
        let member = Member::Online(user.clone());
        let (local, moves, tasks) = (Arc::clone(&self.local), self.moves.clone(), tasks.clone());
        self.local.leave(&member.clone(), socket, move || {
            tasks.spawn_until_stopped(async move {
                sleep(GRACE).await;
                local.if_gone(&member.clone(), || drop(moves.send(Move::Leave(member))));
            });
        });
    }

    fn moves_in(&self, member: Member, socket: SocketKey) {
        let first = || drop(self.moves.send(Move::Enter(member.clone(), socket)));
        self.local.enter(&member, socket, first);
    }

    fn moves_out(&self, member: Member, socket: SocketKey) {
        self.local.leave(&member, socket, || drop(self.moves.send(Move::Leave(member.clone()))));
    }

    /// Keeps the lease and tells Redis what moves, until shutdown; then says farewell.
    pub async fn run(
        self,
        mut moves: Moves,
        mut registry: Registry,
        whisperer: Whisperer,
        compare_online: impl Fn(Vec<User>) + Send + 'static,
        shutdown: Shutdown,
    ) {
        let mut beats = 0_u32;
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.begun() => break,
                _ = beat.tick() => {
                    self.beat(&mut registry, &whisperer).await;
                    if beats.is_multiple_of(BEATS_A_COMPARISON)
                        && let Some(online) = registry.online().await
                    {
                        compare_online(online);
                    }
                    beats = beats.wrapping_add(1);
                }
                moved = moves.0.recv() => {
                    let Some(moved) = moved else { break };
                    // What Redis does not hear now is made good after the next beat.
                    if let Some((topic, told)) = registry.record(&moved).await {
                        whisperer.whisper(topic, told);
                    }
                }
            }
        }
        registry.renew(FAREWELL).await;
    }

    async fn beat(&self, registry: &mut Registry, whisperer: &Whisperer) {
        if registry.renew(LEASE).await {
            // Unknown there, or out of step: say everything again.
            for (topic, told) in registry.restate(self.local.members()).await {
                whisperer.whisper(topic, told);
            }
        }
        for left in registry.clear_the_dead().await {
            let (topic, told) = tell(&left, None);
            whisperer.whisper(topic, told);
        }
    }
}

/// What others hear of a first socket (with its key) or a last one.
fn tell(member: &Member, first: Option<SocketKey>) -> (Topic, Fleeting) {
    match (member, first) {
        (Member::InRoom(conversation, who), first) => {
            let (conversation, name) = (*conversation, who.name().clone());
            let told = match first {
                Some(origin) => Fleeting::Entered { conversation, name, origin },
                None => Fleeting::Left { conversation, name },
            };
            (Topic::Conversation(conversation), told)
        }
        (Member::Online(user), Some(_)) => (Topic::Online, Fleeting::Online(user.clone())),
        (Member::Online(user), None) => (Topic::Online, Fleeting::Offline(user.clone())),
    }
}
