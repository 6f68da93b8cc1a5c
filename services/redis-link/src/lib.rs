//! The way to Redis, decided once from the settings: one server or a cluster, in the open or by
//! TLS, with or without a password.
//!
//! | module | what it holds |
//! |---|---|
//! | [`settings`] | the settings, and what they must look like |
//! | [`nodes`] | the servers that we know, and what makes it pointless to start |
//! | [`slots`] | whose slots are whose in a cluster |
//! | [`lane`] | which key and which channel goes where |
//! | [`line`](mod@line), `pools` | commands: connections that come back by themselves |
//! | [`ear`] | pub/sub: a connection that hears |
//!
//! All that we keep and publish lies in lanes. One server has one lane. A cluster has [`LANES`] of
//! them and one for presence, each with a hash tag that puts its keys and channels into one slot.
//! A lane has connections of its own, to whichever master owns its slot, so a master that is away
//! or silent holds up nobody but its lanes.

pub mod ear;
pub mod lane;
pub mod line;
pub mod nodes;
mod pools;
pub mod settings;
pub mod slots;

use std::sync::Arc;

use chat_core::Topic;
use redis::{RedisError, RedisResult};

pub use self::{
    ear::{EarSink, EarStream},
    lane::{LANES, Lane},
    line::Line,
    settings::RedisSettings,
};
use self::{
    nodes::{Node, Nodes},
    slots::SlotMap,
};

/// Redis, one server or a cluster. Clones share it.
#[derive(Clone, Debug)]
pub struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    prefix: String,
    nodes: Nodes,
    lanes: Vec<Lane>,
    /// None: one server.
    slots: Option<SlotMap>,
}

impl Redis {
    /// One server, e.g. `redis://127.0.0.1:6379`. The error is a sentence about the URL.
    pub fn single(url: &str, prefix: &str) -> Result<Self, String> {
        Ok(Self::new(Nodes::parse(url, None)?, prefix, false))
    }

    fn new(nodes: Nodes, prefix: &str, is_cluster: bool) -> Self {
        let lanes = if is_cluster { lane::of_cluster(prefix) } else { lane::of_server(prefix) };
        let slots = is_cluster.then(SlotMap::default);
        Self(Arc::new(Inner { prefix: prefix.to_owned(), nodes, lanes, slots }))
    }

    /// All lanes, by number.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.0.lanes
    }

    /// Where a topic's events are published, except those of presence.
    #[must_use]
    pub fn lane_of(&self, topic: Topic) -> &Lane {
        if self.is_cluster() { self.spread(&topic.to_string()) } else { &self.0.lanes[0] }
    }

    /// Where a key of this name lies. The name has no lane's stem yet.
    #[must_use]
    pub fn lane_of_key(&self, name: &str) -> &Lane {
        if self.is_cluster() { self.spread(name) } else { &self.0.lanes[0] }
    }

    fn spread(&self, name: &str) -> &Lane {
        &self.0.lanes[lane::spread(name)]
    }

    /// Where presence is kept, and announced by the scripts that keep it.
    #[must_use]
    pub fn presence(&self) -> &Lane {
        &self.0.lanes[self.0.lanes.len() - 1]
    }

    /// The first part of all keys of presence. They share a hash tag.
    #[must_use]
    pub fn presence_keys(&self) -> String {
        lane::presence_stem(&self.0.prefix)
    }

    /// By which lanes a topic is heard: its own, and that of presence if it is announced there.
    pub fn lanes_heard(&self, topic: Topic) -> impl Iterator<Item = &Lane> {
        let (own, presence) = (self.lane_of(topic), self.presence());
        let (is_said, is_announced) = match topic {
            Topic::Conversation(_) => (true, true),
            Topic::Online => (false, true),
            Topic::User(_) | Topic::Everyone | Topic::Relay => (true, false),
        };
        let is_announced = is_announced && (own.number() != presence.number() || !is_said);
        is_said.then_some(own).into_iter().chain(is_announced.then_some(presence))
    }

    /// Is it a cluster?
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.0.slots.is_some()
    }

    /// Keeps the map of the cluster's slots up to date, for ever. One server has none.
    pub async fn keep_map(self) {
        if let Some(slots) = &self.0.slots {
            slots.keep(&self.0.nodes).await;
        }
    }

    /// Something failed: the map may be out of date.
    fn doubt(&self) {
        if let Some(slots) = &self.0.slots {
            slots.doubt();
        }
    }

    /// The server that holds a lane just now.
    fn node(&self, lane: &Lane) -> RedisResult<Arc<Node>> {
        let (Some(slots), Some(slot)) = (&self.0.slots, lane.slot()) else {
            return Ok(self.0.nodes.first());
        };
        slots.owner(slot).ok_or_else(|| {
            slots.doubt();
            RedisError::from(std::io::Error::other("no node of the cluster owns the slot"))
        })
    }

    /// What the server is called that holds a lane just now, for people; empty if nobody knows.
    #[must_use]
    pub fn whereabouts(&self, lane: &Lane) -> String {
        self.node(lane).map(|node| node.name().to_owned()).unwrap_or_default()
    }

    /// Asks once whether Redis lets us in. The error, a sentence that names the setting, is what
    /// no waiting mends: a wrong password, a certificate that is not to be trusted, a cluster
    /// where there should be none. A Redis that is away is no error.
    pub async fn check(&self) -> Result<(), String> {
        let map = self.0.nodes.check(self.is_cluster()).await?;
        if let Some(slots) = &self.0.slots {
            slots.learn(map);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chat_core::{ConversationId, UserId};

    use super::*;

    fn heard(redis: &Redis, topic: Topic) -> Vec<usize> {
        redis.lanes_heard(topic).map(Lane::number).collect()
    }

    #[test]
    fn one_server_has_one_lane_with_plain_names() {
        let redis = Redis::single("redis://h", "chat").expect("a URL");
        let room = Topic::Conversation(ConversationId::LOBBY);
        for topic in [room, Topic::User(UserId(7)), Topic::Online, Topic::Everyone] {
            assert_eq!(heard(&redis, topic), [0]);
        }
        assert_eq!(redis.lane_of(room).channel(room), format!("chat:{room}"));
        assert_eq!(redis.lane_of_key("session:x").key("session:x"), "chat:session:x");
        assert_eq!(redis.presence_keys(), "{chat:presence}:");
    }

    #[test]
    fn a_cluster_announces_presence_in_the_slot_where_it_is_kept() {
        let redis = Redis::new(Nodes::parse("redis://h", None).expect("a URL"), "chat", true);
        let room = Topic::Conversation(ConversationId::random());
        assert_eq!(heard(&redis, room), [redis.lane_of(room).number(), LANES]);
        assert_eq!(heard(&redis, Topic::Online), [LANES]);
        assert_eq!(heard(&redis, Topic::Relay).len(), 1);
        assert_eq!(redis.presence().channel(room), format!("{{chat:presence}}:{room}"));
        assert!(redis.presence().key("born").starts_with(&redis.presence_keys()));
    }
}
