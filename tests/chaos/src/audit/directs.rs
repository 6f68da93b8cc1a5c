//! 003, 002 and 000: on each connection pushes come once, in order, without holes; what was
//! missed between connections is fetched, where the protocol has a way.

use std::collections::HashSet;

use super::{Finding, Kind, Post, Reader};
use crate::books::{How, Receipt, What};

impl Reader<'_> {
    /// 003: the peer's chats, and the peer's reads of one's own.
    pub(super) fn messenger(self, peer: &str) -> Vec<Finding> {
        let Some(direct) = self.stored.direct(self.name, peer) else { return Vec::new() };
        let pushed = |what, post: &Post| match what {
            What::Read => post.author == self.name,
            What::Posted => post.author == peer,
            What::Edited | What::Deleted => true,
        };
        let mut findings = self.pushes(direct, pushed);
        findings.extend(self.posts_by_any_way(direct, |post| post.author == peer));
        findings
    }

    /// 002: everything that is said in the channel.
    pub(super) fn one_to_one(self, peer: &str) -> Vec<Finding> {
        let Some(direct) = self.stored.direct(self.name, peer) else { return Vec::new() };
        let mut findings = self.pushes(direct, |what, _| what == What::Posted);
        findings.extend(self.posts_by_any_way(direct, |_| true));
        findings
    }

    /// 000: what is posted in the lobby while connected.
    pub(super) fn tinychat(self, lobby: u64) -> Vec<Finding> {
        self.pushes(lobby, |what, _| what == What::Posted)
    }

    fn pushes(&self, conversation: u64, expected: impl Fn(What, &Post) -> bool) -> Vec<Finding> {
        let (here, mut findings) = self.heard_in(conversation);
        findings.extend(self.changes_in_order(&here));
        for connection in 1..=self.diary.connections.len() {
            let live = |r: &&&Receipt| r.how == How::Live && r.connection == connection;
            let live: Vec<_> = here.iter().filter(live).copied().collect();
            findings.extend(self.holes_in(conversation, connection, &live, &expected));
        }
        findings
    }

    /// What should have been pushed between the first push of a connection and its last one; or
    /// the end, if the connection is still open.
    fn holes_in(
        &self,
        conversation: u64,
        connection: usize,
        live: &[&Receipt],
        expected: &impl Fn(What, &Post) -> bool,
    ) -> Vec<Finding> {
        let heard: HashSet<u64> = live.iter().flat_map(|receipt| self.places(receipt)).collect();
        let Some(first) = heard.iter().min() else { return Vec::new() };
        let is_open = self.diary.connections[connection - 1].closed.is_none();
        let last = if is_open { u64::MAX } else { heard.iter().max().copied().unwrap_or(0) };
        let log = self.stored.log(conversation);
        let missing = log.range(first..=&last).filter(|(seq, (what, post))| {
            let may_be_void = post.is_deleted && *what != What::Deleted;
            expected(*what, post) && !may_be_void && !heard.contains(seq)
        });
        let finding = |(seq, (what, post)): (&u64, &(What, &Post))| {
            let name = self.name;
            let what = format!(
                "{name} was not pushed {what:?} at place {seq} of {conversation} \
                 on connection {connection}: {post:?}"
            );
            Finding::new(Kind::Lost, what + &self.history())
        };
        missing.map(finding).collect()
    }

    fn posts_by_any_way(
        &self,
        conversation: u64,
        expected: impl Fn(&Post) -> bool,
    ) -> Vec<Finding> {
        if self.diary.gone {
            return Vec::new();
        }
        let known: HashSet<u64> = self.diary.heard.iter().map(|receipt| receipt.id).collect();
        let log = self.stored.log(conversation);
        let posts = log.values().filter(|(what, _)| *what == What::Posted).map(|(_, post)| post);
        let missing =
            posts.filter(|post| expected(post) && !post.is_deleted && !known.contains(&post.id));
        let finding = |post: &&Post| {
            let what = format!("{} has neither been pushed nor fetched {post:?}", self.name);
            Finding::new(Kind::Lost, what + &self.history())
        };
        missing.map(finding).collect()
    }
}
