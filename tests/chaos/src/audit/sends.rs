//! Acknowledged ⊆ stored, and everything stored at most once.

use std::collections::HashMap;

use super::{Evidence, Finding, Kind, Post};
use crate::{books::Sent, clients::original};

pub(super) fn audit(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut by_text: HashMap<(&str, &str), Vec<&Post>> = HashMap::new();
    let acknowledged = acknowledged(evidence);
    for post in evidence.stored.posts.values() {
        // Deleting a message erases its text.
        let erased = acknowledged.get(&post.id).filter(|_| post.is_deleted);
        let text = erased.copied().unwrap_or_else(|| original(&post.text));
        by_text.entry((&post.author, text)).or_default().push(post);
    }
    let mut findings = Vec::new();
    for (name, diary) in evidence.diaries {
        for sent in &diary.sends {
            let stored = by_text.remove(&(name.as_str(), sent.text.as_str())).unwrap_or_default();
            findings.extend(check(sent, &stored));
        }
        if !diary.settled && !diary.gone {
            let last = diary.connections.last();
            let what = format!("{name} is not connected; its last connection: {last:?}");
            findings.push(Finding::new(Kind::Stuck, what));
        }
    }
    let unknown = by_text.into_values().flatten();
    findings.extend(unknown.map(|post| {
        Finding::new(Kind::Doubled, format!("stored, and nobody has sent it: {post:?}"))
    }));
    findings
}

/// The texts of all acknowledged messages, by id.
fn acknowledged<'a>(evidence: &Evidence<'a>) -> HashMap<u64, &'a str> {
    let sends = evidence.diaries.values().flat_map(|diary| &diary.sends);
    sends.filter_map(|sent| Some((sent.acked?.id, sent.text.as_str()))).collect()
}

fn check(sent: &Sent, stored: &[&Post]) -> Option<Finding> {
    let finding = |kind, what: &str| {
        Some(Finding::new(kind, format!("{what}: sent {sent:?}, stored {stored:?}")))
    };
    match (stored, &sent.acked) {
        ([_, _, ..], _) => finding(Kind::Doubled, "stored more than once"),
        ([], Some(_)) => finding(Kind::Lost, "acknowledged and not stored"),
        ([post], Some(acked))
            if acked.id != post.id || acked.seq.is_some_and(|seq| seq != post.seq) =>
        {
            finding(Kind::Lost, "acknowledged as another message than is stored")
        }
        (_, None) if !sent.given_up => finding(Kind::Stuck, "never acknowledged"),
        ([post], _) if post.key != sent.key => finding(Kind::Lost, "stored with another key"),
        _ => None,
    }
}
