//! Who is in which room, over all gateways, by lease in Redis.
//!
//! Redis hears only of a user's first socket in a room of this gateway, and of the last. There,
//! `room:<id>` counts for each user the gateways where they are; `gateway:<epoch>` lists what a
//! gateway has entered; `gateways` holds the end of each gateway's lease. The scripts change all
//! three at once, so exactly one of them sees a user's first or last and tells the room. Whose
//! lease ends without a word is cleared by the others.
//!
//! All keys share one hash tag: on Redis Cluster they are in one slot.

mod local;
mod scripts;

use std::{sync::Arc, time::Duration};

use chat_core::{Caller, ConversationId, Fleeting, SocketKey, Topic, process::Shutdown};
use redis::aio::ConnectionManager;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{MissedTickBehavior, interval},
};

use self::{
    local::{Local, Member, Move},
    scripts::Registry,
};
use crate::whisper::Whisperer;

/// How long a gateway's word counts. Others notice its death after this and one beat more.
const LEASE: Duration = Duration::from_secs(9);

/// How often the lease is renewed, and the dead are looked for.
const BEAT: Duration = Duration::from_secs(2);

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
        let member = Member::new(conversation, who);
        if self.local.enter(&member, socket) {
            let _ = self.moves.send(Move::Enter(member, socket));
        }
    }

    /// A socket leaves a room.
    pub fn leave(&self, conversation: ConversationId, who: &Caller, socket: SocketKey) {
        let member = Member::new(conversation, who);
        if self.local.leave(&member, socket) {
            let _ = self.moves.send(Move::Leave(member));
        }
    }

    /// Keeps the lease and tells Redis what moves, until shutdown; then says farewell.
    pub async fn run(
        self,
        mut moves: Moves,
        redis: ConnectionManager,
        prefix: String,
        epoch: u64,
        whisperer: Whisperer,
        shutdown: Shutdown,
    ) {
        let mut registry = Registry::new(redis, &prefix, epoch);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.begun() => break,
                _ = beat.tick() => self.beat(&mut registry, &whisperer).await,
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
            whisperer.whisper(Topic::Conversation(left.conversation), left.as_left());
        }
    }
}

impl Member {
    fn as_left(&self) -> Fleeting {
        Fleeting::Left { conversation: self.conversation, name: self.name.clone() }
    }

    fn as_entered(&self, origin: SocketKey) -> Fleeting {
        Fleeting::Entered { conversation: self.conversation, name: self.name.clone(), origin }
    }
}
