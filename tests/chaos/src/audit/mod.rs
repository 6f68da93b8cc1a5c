//! Compares the books with what is stored, and with each other.
//!
//! | module | the question |
//! |---|---|
//! | `stored` | what do the tables say, and are they whole? |
//! | `sends` | is what was acknowledged stored, and everything at most once? |
//! | `rooms` | did those who resume with `since` see everything once and in order? |
//! | `directs` | did 003, 002 and 000 see what their protocols promise? |
//! | `presence` | do the observers believe what is true? |
//! | [`rest`] | does REST show what is stored? |
//! | `readiness` | was anybody green while deaf, or is anybody red now? |

mod directs;
mod presence;
mod readiness;
pub mod rest;
mod rooms;
mod sends;
mod stored;

use std::{collections::BTreeMap, fmt};

pub use self::stored::{Post, Stored};
use crate::{
    books::{Diary, Receipt},
    faults::Ledger,
    health::Health,
};

/// What a client must see.
#[derive(Clone, Debug)]
pub enum Role {
    /// 004: everything of these rooms.
    Chatto(Vec<u64>),
    /// 001: everything of this room.
    Conversations(u64),
    /// REST: nothing.
    Rest,
    /// 003: what the peer writes; the presence of these.
    Messenger(String, Vec<String>),
    /// 002: what is written in the channel with the peer; who is online.
    OneToOne(String),
    /// 000: while connected, what is posted in this room.
    Tinychat(u64),
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Acknowledged and not stored, or stored and not heard.
    Lost,
    /// Stored or heard twice.
    Doubled,
    /// Heard after what came later.
    Disordered,
    /// Believed to be there, or not to be there, and wrongly so.
    Ghost,
    /// Green while deaf, or red when all is well.
    Unhealthy,
    /// Never answered, never connected.
    Stuck,
    /// A program that ended badly.
    BadEnd,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Of which kind.
    pub kind: Kind,
    /// What exactly.
    pub what: String,
}

impl Finding {
    fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// Everything that an audit looks at.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What the clients wrote down.
    pub diaries: &'a BTreeMap<String, Diary>,
    /// What each had to see.
    pub cast: &'a BTreeMap<String, Role>,
    /// What the tables say.
    pub stored: &'a Stored,
    /// What was done.
    pub ledger: &'a Ledger,
    /// What the replicas said of themselves.
    pub health: &'a Health,
}

/// Everything that is wrong.
#[must_use]
pub fn audit(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = evidence.stored.holes();
    findings.extend(sends::audit(evidence));
    for (name, diary) in evidence.diaries {
        let reader = Reader { name, diary, stored: evidence.stored };
        match &evidence.cast[name] {
            Role::Chatto(rooms) => rooms.iter().for_each(|r| findings.extend(reader.room(*r))),
            Role::Conversations(room) => findings.extend(reader.room(*room)),
            Role::Messenger(peer, _) => findings.extend(reader.messenger(peer)),
            Role::OneToOne(peer) => findings.extend(reader.one_to_one(peer)),
            Role::Tinychat(room) => findings.extend(reader.tinychat(*room)),
            Role::Rest => {}
        }
    }
    findings.extend(presence::audit(evidence));
    findings.extend(readiness::audit(evidence));
    let bad_ends = evidence.ledger.bad_ends();
    findings.extend(bad_ends.into_iter().map(|end| Finding::new(Kind::BadEnd, end)));
    findings
}

/// One client's diary beside what is stored.
#[derive(Clone, Copy)]
struct Reader<'a> {
    name: &'a str,
    diary: &'a Diary,
    stored: &'a Stored,
}

impl Reader<'_> {
    /// Where and when something was heard, for findings.
    fn place(&self, receipt: &Receipt) -> String {
        let connection = &self.diary.connections[receipt.connection - 1];
        format!(
            "{:?} {:?} at {:.3} s on connection {} (gateway {}, opened {:.3} s, segment {})",
            receipt.what,
            receipt.how,
            receipt.at.as_secs_f32(),
            receipt.connection,
            connection.gateway,
            connection.opened.as_secs_f32(),
            receipt.segment,
        )
    }

    /// All its connections, for findings.
    fn history(&self) -> String {
        let lines = self.diary.connections.iter().enumerate().map(|(n, connection)| {
            let opened = connection.opened.as_secs_f32();
            let end = match &connection.closed {
                Some((at, why)) => format!("{:.3} s ({why})", at.as_secs_f32()),
                None => "now".to_owned(),
            };
            let gateway = connection.gateway;
            format!("\n      connection {}: gateway {gateway}, {opened:.3} s to {end}", n + 1)
        });
        lines.collect()
    }
}
