//! Which key and which channel goes where.

use std::sync::Arc;

use chat_core::Topic;
use redis::Pipeline;

/// Lanes of a cluster, beside the one of presence; a cluster of more masters leaves some of them
/// idle. The same in every version, else old and new services do not hear each other.
pub const LANES: usize = 16;

/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// A share of the keys and channels. In a cluster they are all in one slot.
#[derive(Clone, Debug)]
pub struct Lane {
    number: usize,
    /// What its keys and channels begin with.
    stem: Arc<str>,
    slot: Option<u16>,
}

impl Lane {
    /// Its place among all.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Its slot; one server has none.
    #[must_use]
    pub const fn slot(&self) -> Option<u16> {
        self.slot
    }

    /// What its keys and channels begin with.
    #[must_use]
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// A key of it.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.stem)
    }

    /// A topic's channel.
    #[must_use]
    pub fn channel(&self, topic: Topic) -> String {
        format!("{}{topic}", self.stem)
    }

    /// The topic of a channel.
    #[must_use]
    pub fn topic(&self, channel: &str) -> Option<Topic> {
        Topic::parse(channel.strip_prefix(&*self.stem)?)
    }

    /// The command that publishes here, in scripts too.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        if self.slot.is_some() { "SPUBLISH" } else { "PUBLISH" }
    }

    /// Adds a publication to what is sent.
    pub fn publish(&self, pipeline: &mut Pipeline, channel: &str, payload: &[u8]) {
        pipeline.cmd(self.verb()).arg(channel).arg(payload).ignore();
    }
}

/// The one lane of one server.
pub(crate) fn of_server(prefix: &str) -> Vec<Lane> {
    vec![Lane { number: 0, stem: format!("{prefix}:").into(), slot: None }]
}

/// The lanes of a cluster, evenly over its slots; that of presence comes last.
pub(crate) fn of_cluster(prefix: &str) -> Vec<Lane> {
    let lane = |number, tag: String| {
        let (slot, stem) = (Some(slot_of(&tag)), format!("{{{tag}}}:").into());
        Lane { number, stem, slot }
    };
    let share = usize::from(SLOTS) / LANES;
    let spread = (0..LANES).filter_map(|number| {
        // Some tag is in the lane's share of the slots: one of sixteen that are tried.
        let mut tags = (0_u32..).map(|salt| format!("{prefix}:p{number}.{salt}"));
        tags.find(|tag| usize::from(slot_of(tag)) / share == number).map(|tag| lane(number, tag))
    });
    spread.chain([lane(LANES, format!("{prefix}:presence"))]).collect()
}

/// What the keys of presence begin with, also on one server.
pub(crate) fn presence_stem(prefix: &str) -> String {
    format!("{{{prefix}:presence}}:")
}

/// The lane of a name: the same in every version.
pub(crate) fn spread(name: &str) -> usize {
    usize::from(hash(name)) % LANES
}

fn slot_of(tag: &str) -> u16 {
    hash(tag) % SLOTS
}

/// What Redis Cluster hashes keys by.
fn hash(text: &str) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_of_a_cluster_are_spread_over_its_slots_and_stay_where_they_are() {
        let lanes = of_cluster("switchboard");
        let slots: Vec<_> = lanes.iter().filter_map(Lane::slot).collect();
        assert_eq!(slots.len(), LANES + 1);
        for (number, slot) in slots[..LANES].iter().enumerate() {
            assert_eq!(usize::from(*slot) / 1_024, number);
        }
        assert_eq!(slot_of("switchboard:presence"), slots[LANES]);
        // As `CLUSTER KEYSLOT` has it.
        assert_eq!(slot_of("123456789"), 0x31c3);
    }

    #[test]
    fn names_are_spread_over_all_lanes() {
        let mut count = [0; LANES];
        for user in 0..1_600 {
            count[spread(&format!("user:{user}"))] += 1;
        }
        assert!(count.iter().all(|count| (50..200).contains(count)), "{count:?}");
    }
}
