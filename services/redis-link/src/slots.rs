//! Whose slots are whose in a cluster.
//!
//! The map is asked for again every few seconds, and soon after anything failed: whoever was moved
//! elsewhere, cut off or told of another owner only has to say so, and try again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use redis::Value;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::nodes::{Node, Nodes};

/// How often the map is asked for without a cause.
const EVERY: Duration = Duration::from_secs(5);

/// And how often at most with one.
const PAUSE: Duration = Duration::from_millis(200);

/// Some slots in a row, and the master that owns them.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    first: u16,
    last: u16,
    owner: Arc<Node>,
}

/// The map as last heard; empty at first.
#[derive(Debug, Default)]
pub struct SlotMap {
    owned: RwLock<Vec<Owned>>,
    doubt: Notify,
    /// Who told us last.
    teller: Mutex<Option<Arc<Node>>>,
}

impl SlotMap {
    /// The master that owns a slot, if any is known.
    pub(crate) fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
        let found = owned.iter().find(|range| (range.first..=range.last).contains(&slot));
        found.map(|range| Arc::clone(&range.owner))
    }

    /// This is the map.
    pub(crate) fn learn(&self, map: Vec<Owned>) {
        *self.owned.write().unwrap_or_else(PoisonError::into_inner) = map;
    }

    /// The map may be out of date.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Keeps it up to date, for ever.
    pub(crate) async fn keep(&self, seeds: &Nodes) {
        let (mut told, mut is_doubted) = (false, false);
        loop {
            match self.ask(seeds, is_doubted).await {
                Ok(map) => {
                    self.learn(map);
                    told = false;
                }
                Err(cause) if !std::mem::replace(&mut told, true) => {
                    tracing::warn!(cause, "no node tells who owns the cluster's slots");
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
            is_doubted = timeout(EVERY, self.doubt.notified()).await.is_ok();
        }
    }

    fn teller(&self) -> MutexGuard<'_, Option<Arc<Node>>> {
        self.teller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one after the other until one knows. Whose map is doubted is asked last: a master cut
    /// off from its peers still believes that all is as it was.
    async fn ask(&self, seeds: &Nodes, is_doubted: bool) -> Result<Vec<Owned>, String> {
        let nodes = {
            let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
            in_turn(&owned, seeds, self.teller().take().as_deref(), is_doubted)
        };
        let mut cause = String::new();
        for node in nodes {
            match node.ask(redis::cmd("CLUSTER").arg("SLOTS")).await {
                Ok(answer) => match parse(&answer, seeds, &node) {
                    map if !map.is_empty() => {
                        *self.teller() = Some(node);
                        return Ok(map);
                    }
                    _ => cause = format!("{} knows of no slots", node.name()),
                },
                Err(e) => cause = format!("{}: {e}", node.name()),
            }
        }
        Err(cause)
    }
}

/// Those who owned slots last and the seeds, each once, in a ring that begins with who told us last,
/// or with the next one if that is doubted.
fn in_turn(
    owned: &[Owned],
    seeds: &Nodes,
    teller: Option<&Node>,
    is_doubted: bool,
) -> Vec<Arc<Node>> {
    let mut ring: Vec<Arc<Node>> = Vec::new();
    for node in owned.iter().map(|range| &range.owner).chain(seeds.all()) {
        if !ring.iter().any(|other| other.is(node)) {
            ring.push(Arc::clone(node));
        }
    }
    let last = teller.and_then(|teller| ring.iter().position(|node| node.is(teller)));
    if let Some(last) = last {
        let first = (last + usize::from(is_doubted)) % ring.len();
        ring.rotate_left(first);
    }
    ring
}

/// Reads the answer to CLUSTER SLOTS. A node that does not know its own name is who was asked.
pub(crate) fn parse(answer: &Value, seeds: &Nodes, asked: &Node) -> Vec<Owned> {
    let Value::Array(ranges) = answer else { return Vec::new() };
    ranges.iter().filter_map(|range| parse_range(range, seeds, asked)).collect()
}

fn parse_range(range: &Value, seeds: &Nodes, asked: &Node) -> Option<Owned> {
    let Value::Array(range) = range else { return None };
    let [first, last, Value::Array(master), ..] = &range[..] else { return None };
    let [host, port, ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(name) if !name.is_empty() && name != b"?" => {
            String::from_utf8_lossy(name).into_owned()
        }
        _ => asked.host().to_owned(),
    };
    let owner = Arc::new(seeds.sibling(&host, number(port)?).ok()?);
    Some(Owned { first: number(first)?, last: number(last)?, owner })
}

fn number(value: &Value) -> Option<u16> {
    let Value::Int(number) = value else { return None };
    u16::try_from(*number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: &str, port: i64) -> Value {
        let master = vec![Value::BulkString(host.into()), Value::Int(port)];
        let replica = vec![Value::BulkString(b"replica".to_vec()), Value::Int(1)];
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            Value::Array(replica),
        ])
    }

    #[test]
    fn the_master_of_each_slot_is_read() {
        let seeds = Nodes::parse("redis://seed:7000", None).expect("a URL");
        let answer =
            Value::Array(vec![range(0, 99, "one", 7001), range(100, 16_383, "", 7002), Value::Nil]);
        let map = SlotMap::default();
        map.learn(parse(&answer, &seeds, &seeds.first()));
        let owner = |slot| map.owner(slot).map(|node| node.name().to_owned());
        assert_eq!(owner(0), Some("one:7001".into()));
        assert_eq!(owner(16_383), Some("seed:7002".into()));
        assert_eq!(map.owner(16_384).map(|node| node.name().to_owned()), None);
    }

    #[test]
    fn whose_map_is_doubted_is_asked_last() {
        let seeds = Nodes::parse("redis://one:1,redis://four:4", None).expect("URLs");
        let answer = Value::Array(vec![
            range(0, 99, "one", 1),
            range(100, 199, "two", 2),
            range(200, 16_383, "one", 1),
        ]);
        let owned = parse(&answer, &seeds, &seeds.first());
        let asked = |teller: Option<&Node>, is_doubted| {
            let nodes = in_turn(&owned, &seeds, teller, is_doubted);
            nodes.iter().map(|node| node.name().to_owned()).collect::<Vec<_>>()
        };
        let node = |host, port| seeds.sibling(host, port).expect("a node");
        assert_eq!(asked(None, true), ["one:1", "two:2", "four:4"]);
        assert_eq!(asked(Some(&node("two", 2)), false), ["two:2", "four:4", "one:1"]);
        assert_eq!(asked(Some(&node("two", 2)), true), ["four:4", "one:1", "two:2"]);
        assert_eq!(asked(Some(&node("four", 4)), true), ["one:1", "two:2", "four:4"]);
        assert_eq!(asked(Some(&node("gone", 5)), true), ["one:1", "two:2", "four:4"]);
    }
}
