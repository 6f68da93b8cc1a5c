//! What a replica says of itself once a second. Replicas of two versions read each other's during
//! an upgrade, so a field that is missing is zero or empty, and one that is unknown is ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Spread;

/// Things that a replica may say it lacks, and how long each may be, in characters.
const LACKS: usize = 8;
const LACK_LENGTH: usize = 200;

/// What may be expected of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It serves.
    Ready,
    /// It was told to stop, and sends its clients away.
    Draining,
    /// It runs and asks not to be sent anybody, since it lacks something.
    #[default]
    #[serde(other)]
    Unready,
}

/// How a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// What may be expected.
    pub state: State,
    /// What it lacks, in words: `redis: no answer in time`.
    pub lacks: Vec<String>,
}

/// One beat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beat {
    /// Tells the process from all others, also from the one that had its name before.
    pub id: String,
    /// `socket-gateway` or `message-api`.
    pub service: String,
    /// Host and port, for people.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Seconds since it began.
    pub uptime: u64,
    /// What may be expected of it.
    pub state: State,
    /// What it lacks.
    pub lacks: Vec<String>,
    /// How much it does.
    pub figures: Figures,
}

impl Beat {
    /// Notes how the replica is, in bounded words.
    pub(crate) fn note(&mut self, condition: Condition) {
        self.state = condition.state;
        let words = |lack: String| lack.chars().take(LACK_LENGTH).collect();
        self.lacks = condition.lacks.into_iter().take(LACKS).map(words).collect();
    }
}

/// How much a replica does. Rates are per second; they and the spreads are of the last
/// [`WINDOW`](crate::reporter::WINDOW).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Open connections of clients.
    pub connections: u64,
    /// Sockets that are in, by protocol; `shared` is the namespace of all protocols.
    pub sockets: BTreeMap<String, u64>,
    /// Messages stored.
    pub posts: f64,
    /// Events handed to sockets, for each socket.
    pub deliveries: f64,
    /// Repairs begun.
    pub repairs: f64,
    /// Requests to REST.
    pub requests: f64,
    /// Cores in use.
    pub cpu: f64,
    /// Resident memory in bytes.
    pub memory: u64,
    /// From a client's message to its answer in the socket's queue.
    pub ack: Spread,
    /// From an event's publishing to the queues of all sockets.
    pub delivery: Spread,
    /// A commit of posts.
    pub commit: Spread,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_of_another_version_is_understood_as_far_as_it_goes() {
        let newer = r#"{"id":"1","state":"dreaming","figures":{"posts":2.5,"later":[]},"more":1}"#;
        let beat: Beat = serde_json::from_str(newer).expect("understood");
        assert_eq!((beat.state, beat.figures.posts), (State::Unready, 2.5));
        assert_eq!(beat.figures.ack.quantile(0.5), None);
        let draining = serde_json::to_string(&State::Draining).expect("JSON");
        assert_eq!(serde_json::from_str::<State>(&draining).ok(), Some(State::Draining));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_redis_is_a_beat_or_none(
            text: String, bounds: Vec<f64>, counts: Vec<u64>, more: Vec<u64>, share in 0.0..1.0,
        ) {
            let _ = serde_json::from_str::<Beat>(&text);
            let spread = |counts: &[u64]| {
                let spread = serde_json::json!({"bounds": bounds, "counts": counts});
                let beat = serde_json::json!({"figures": {"ack": spread}, "id": text});
                serde_json::from_value::<Beat>(beat).map(|beat| beat.figures.ack)
            };
            let (Ok(mut sum), Ok(other)) = (spread(&counts), spread(&more)) else { return Ok(()) };
            sum.add(&other);
            sum.add(&other);
            let _ = (sum.count(), sum.quantile(share));
        }
    }

    #[test]
    fn what_is_lacking_is_bounded() {
        let mut beat = Beat::default();
        let lacks = vec!["é".repeat(5_000); 500];
        beat.note(Condition { state: State::Ready, lacks });
        assert_eq!((beat.lacks.len(), beat.lacks[0].chars().count()), (LACKS, LACK_LENGTH));
    }
}
