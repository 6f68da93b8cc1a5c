//! Do the observers believe what is true? 004 hears of comings and goings after its own join, 003
//! of those it waits for, 002 gets lists.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Evidence, Finding, Kind, Role};
use crate::books::{Connection, Diary};

/// How long a departure may take to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

pub(super) fn audit(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let truth = Truth { diaries: evidence.diaries, cast: evidence.cast };
    for (name, diary) in evidence.diaries.iter().filter(|(_, diary)| diary.settled) {
        match &evidence.cast[name] {
            Role::Chatto(rooms) => {
                for room in rooms {
                    truth.in_room(name, diary, *room, &mut findings);
                }
            }
            Role::Messenger(_, others) => truth.waited_for(name, diary, others, &mut findings),
            Role::OneToOne(_) => findings.extend(truth.roster(name, diary)),
            _ => {}
        }
    }
    findings
}

struct Truth<'a> {
    diaries: &'a BTreeMap<String, Diary>,
    cast: &'a BTreeMap<String, Role>,
}

impl Truth<'_> {
    fn is_online(&self, user: &str) -> bool {
        !matches!(self.cast[user], Role::Rest) && self.diaries.get(user).is_some_and(|d| d.settled)
    }

    /// Those who are in must not have been seen going last; those who have gone must have, on
    /// every connection on which there was the time to.
    fn in_room(&self, observer: &str, diary: &Diary, room: u64, findings: &mut Vec<Finding>) {
        for (user, role) in self.cast.iter().filter(|(user, _)| *user != observer) {
            if !matches!(role, Role::Chatto(rooms) if rooms.contains(&room)) {
                continue;
            }
            for connection in &diary.connections {
                let seen = connection.seen.get(&(Some(room), user.clone())).copied();
                let left = self.left_before(user, connection);
                let wrong = match (left, connection.closed.is_none(), seen) {
                    (true, _, None | Some(true)) => "never saw them leave, but they are gone",
                    (false, true, Some(false)) if self.is_online(user) => {
                        "saw them leave, but they are in"
                    }
                    (false, true, Some(true)) if !self.is_online(user) => {
                        "saw them come, but they are gone"
                    }
                    _ => continue,
                };
                let what = format!("{user} in room {room}: {wrong}");
                findings.push(ghost(observer, connection, &what));
            }
        }
    }

    /// Has the user left for good after this connection had joined its rooms, so that it must have
    /// been told?
    fn left_before(&self, user: &str, connection: &Connection) -> bool {
        let diary = self.diaries.get(user).filter(|diary| diary.gone);
        let left = diary.and_then(|diary| diary.connections.last()?.closed.as_ref());
        left.is_some_and(|(left, _)| {
            let in_time = |(closed, _): &(Duration, String)| *closed > *left + TOLD_WITHIN;
            connection.settled.is_some_and(|settled| settled < *left)
                && connection.closed.as_ref().is_none_or(in_time)
        })
    }

    fn waited_for(
        &self,
        observer: &str,
        diary: &Diary,
        others: &[String],
        findings: &mut Vec<Finding>,
    ) {
        let Some(connection) = diary.connections.last() else { return };
        for user in others {
            let seen = connection.seen.get(&(None, user.clone())).copied().unwrap_or(false);
            if seen != self.is_online(user) {
                let what = format!("{user}: believes online {seen}");
                findings.push(ghost(observer, connection, &what));
            }
        }
    }

    fn roster(&self, observer: &str, diary: &Diary) -> Option<Finding> {
        let online = self.cast.keys().filter(|user| self.is_online(user)).cloned();
        let online: BTreeSet<String> = online.collect();
        let seen = diary.roster.clone().unwrap_or_default();
        let too_many: Vec<_> = seen.difference(&online).collect();
        let too_few: Vec<_> = online.difference(&seen).collect();
        let is_wrong = !too_many.is_empty() || !too_few.is_empty();
        let what = format!("the list has {too_many:?} too many and lacks {too_few:?}");
        let connection = diary.connections.last()?;
        is_wrong.then(|| ghost(observer, connection, &what))
    }
}

fn ghost(observer: &str, connection: &Connection, what: &str) -> Finding {
    let Connection { gateway, opened, settled, .. } = connection;
    let place = format!("{observer} (gateway {gateway}, open {opened:.3?}, settled {settled:.3?})");
    Finding::new(Kind::Ghost, format!("{place} on {what}"))
}
