//! Those who resume with `since` see everything of their rooms: every message once over all their
//! connections, in order, and what happened to it, in order on each of them.

use std::collections::{BTreeMap, HashMap};

use super::{Finding, Kind, Reader};
use crate::{
    books::{How, Receipt, What},
    clients::original,
};

impl Reader<'_> {
    /// What is wrong with what this one saw of a room.
    pub(super) fn room(self, room: u64) -> Vec<Finding> {
        let (here, mut findings) = self.heard_in(room);
        findings.extend(self.posts_once_and_in_order(&here));
        findings.extend(self.changes_in_order(&here));
        findings.extend(self.nothing_missing(room, &here));
        findings
    }

    /// What it heard of one conversation; findings for what is not stored, or otherwise.
    pub(super) fn heard_in(&self, conversation: u64) -> (Vec<&Receipt>, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut here = Vec::new();
        for receipt in &self.diary.heard {
            let Some(post) = self.stored.posts.get(&receipt.id) else {
                let what = format!("{} heard what is not stored: {receipt:?}", self.name);
                findings.push(Finding::new(Kind::Doubled, what));
                continue;
            };
            if post.conversation != conversation {
                continue;
            }
            // Deleting a message erases its text.
            let text = receipt.text.as_deref().filter(|_| !post.is_deleted).map(original);
            if receipt.seq.is_some_and(|seq| seq != post.seq)
                || text.is_some_and(|text| text != original(&post.text))
            {
                let what = format!("{} heard {receipt:?}, stored is {post:?}", self.name);
                findings.push(Finding::new(Kind::Lost, what));
            }
            here.push(receipt);
        }
        (here, findings)
    }

    fn posts_once_and_in_order(&self, here: &[&Receipt]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut seen: BTreeMap<u64, &Receipt> = BTreeMap::new();
        for receipt in here.iter().filter(|receipt| receipt.what == What::Posted) {
            let post = &self.stored.posts[&receipt.id];
            let (kind, before) = match (seen.get(&post.seq), seen.last_key_value()) {
                (Some(before), _) => (Kind::Doubled, *before),
                (_, Some((last, before))) if *last > post.seq => (Kind::Disordered, *before),
                _ => {
                    seen.insert(post.seq, receipt);
                    continue;
                }
            };
            findings.push(self.twice(kind, receipt, before));
        }
        findings
    }

    /// Pushed changes of one segment or connection come in the order of their places, once.
    pub(super) fn changes_in_order(&self, here: &[&Receipt]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut last: HashMap<usize, (u64, &Receipt)> = HashMap::new();
        for receipt in here.iter().filter(|receipt| receipt.how == How::Live) {
            let places = self.places(receipt);
            let reached = last.get(&receipt.segment).map_or(0, |(seq, _)| *seq);
            match (places.iter().find(|seq| **seq > reached), last.get(&receipt.segment)) {
                (Some(next), _) => drop(last.insert(receipt.segment, (*next, receipt))),
                (None, Some((_, before))) if places.contains(&reached) => {
                    findings.push(self.twice(Kind::Doubled, receipt, before));
                }
                (None, Some((_, before))) => {
                    findings.push(self.twice(Kind::Disordered, receipt, before));
                }
                (None, None) => {
                    let what =
                        format!("{} heard a change that is not stored: {receipt:?}", self.name);
                    findings.push(Finding::new(Kind::Doubled, what));
                }
            }
        }
        findings
    }

    /// Which places in its conversation a receipt may speak of.
    pub(super) fn places(&self, receipt: &Receipt) -> Vec<u64> {
        match receipt.what {
            What::Posted => vec![self.stored.posts[&receipt.id].seq],
            what => {
                let places = self.stored.changes.get(&(what, receipt.id));
                places.into_iter().flatten().copied().collect()
            }
        }
    }

    fn nothing_missing(&self, room: u64, here: &[&Receipt]) -> Vec<Finding> {
        let saw = |what, id| here.iter().any(|r| r.what == what && r.id == id);
        let mut findings = Vec::new();
        for (seq, (what, post)) in self.stored.log(room) {
            // What was deleted in the meantime may have come as nothing.
            let expected = match what {
                What::Posted => !post.is_deleted,
                What::Edited => {
                    let is_known = |r: &&Receipt| r.text.as_ref() == Some(&post.text);
                    !post.is_deleted && !here.iter().any(is_known)
                }
                What::Deleted => saw(What::Posted, post.id),
                What::Read => false,
            };
            if expected && !saw(what, post.id) && !self.diary.gone {
                let name = self.name;
                let what =
                    format!("{name} missed {what:?} at place {seq} of room {room}: {post:?}");
                findings.push(Finding::new(Kind::Lost, what + &self.history()));
            }
        }
        findings
    }

    fn twice(&self, kind: Kind, receipt: &Receipt, before: &Receipt) -> Finding {
        let post = &self.stored.posts[&receipt.id];
        let (name, now, then) = (self.name, self.place(receipt), self.place(before));
        let what = format!("{name} heard {now}: {post:?}; before that id {}: {then}", before.id);
        Finding::new(kind, what + &self.history())
    }
}
