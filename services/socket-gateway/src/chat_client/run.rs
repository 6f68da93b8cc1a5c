//! Hop 2 of 10, for posts: a run of them on its way through the replicas. From chat_client/mod.rs;
//! next posts.rs.
//!
//! What a replica has decided stays decided. The rest goes on together, in its order, so that
//! nothing overtakes a post that has to be tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chat_core::{ChatError, Result};
use switchboard_proto::{status::to_error, v1};
use tokio::time::Instant;
use tonic::Code;

use super::{
    fate::{Failed, Fate, Twice},
    posts::{Answer, Posts},
    replica::Replica,
};

#[derive(Debug)]
struct Entry {
    post: v1::PostMessageRequest,
    answer: Option<Result<v1::Message>>,
}

impl Entry {
    /// With a key it is stored once, however often it is sent.
    const fn twice(&self) -> Twice {
        if self.post.client_id.is_empty() { Twice::Never } else { Twice::Fine }
    }
}

/// A run of posts.
#[derive(Debug)]
pub(super) struct Run(Mutex<Vec<Entry>>);

impl Run {
    pub(super) fn new(posts: Vec<v1::PostMessageRequest>) -> Self {
        let entry = |post| Entry { post, answer: None };
        Self(Mutex::new(posts.into_iter().map(entry).collect()))
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is there an answer to each?
    pub(super) fn is_decided(&self) -> bool {
        self.entries().iter().all(|entry| entry.answer.is_some())
    }

    /// Asks a replica to store what is left: over the stream that all posts share, if they fit and
    /// the replica knows of such. Fails as the first did that failed on its way.
    pub(super) async fn go_to(
        &self,
        replica: &Replica,
        deadline: Instant,
    ) -> std::result::Result<(), Failed> {
        let left = self.left();
        if !Posts::fit(&left) {
            return self.settle(replica.post_each(deadline, left).await);
        }
        let answers = replica.post(deadline, left).await;
        let is_old = |answer: &Answer| {
            answer.as_ref().is_err_and(|failed| failed.status.code() == Code::Unimplemented)
        };
        if answers.iter().any(is_old) {
            return self.settle(replica.post_each(deadline, self.left()).await);
        }
        self.settle(answers)
    }

    fn left(&self) -> Vec<v1::PostMessageRequest> {
        let entries = self.entries();
        let left = entries.iter().filter(|entry| entry.answer.is_none());
        left.map(|entry| entry.post.clone()).collect()
    }

    /// Notes what was decided. What may go again stays left.
    fn settle(&self, answers: Vec<Answer>) -> std::result::Result<(), Failed> {
        let (mut first, mut entries) = (Ok(()), self.entries());
        let left = entries.iter_mut().filter(|entry| entry.answer.is_none());
        for (entry, answer) in left.zip(answers) {
            match answer {
                Ok(message) => entry.answer = Some(Ok(message)),
                Err(failed) => {
                    if !failed.fate.may_move(entry.twice()) {
                        entry.answer = Some(Err(to_error(&failed.status)));
                    }
                    if first.is_ok() && failed.fate != Fate::Answered {
                        first = Err(failed);
                    }
                }
            }
        }
        first
    }

    /// The answers; `failure` to what was never decided.
    pub(super) fn answers(self, failure: Option<ChatError>) -> Vec<Result<v1::Message>> {
        let failure =
            failure.unwrap_or_else(|| ChatError::unavailable("message-api", "no answer to a post"));
        let entries = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let answer = |entry: Entry| entry.answer.unwrap_or_else(|| Err(failure.clone()));
        entries.into_iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use chat_core::Code as Refused;

    use super::*;

    fn post(text: &str, key: &str) -> v1::PostMessageRequest {
        v1::PostMessageRequest { text: text.into(), client_id: key.into(), ..Default::default() }
    }

    fn stored(id: u64) -> Answer {
        Ok(v1::Message { id, ..Default::default() })
    }

    fn lost(fate: Fate) -> Answer {
        Err(Failed::new(fate, "lost"))
    }

    fn texts(posts: &[v1::PostMessageRequest]) -> Vec<&str> {
        posts.iter().map(|post| &*post.text).collect()
    }

    #[test]
    fn what_may_go_again_goes_on_together_in_its_order() {
        let run = Run::new(vec![post("a", "k1"), post("b", ""), post("c", "k2"), post("d", "k3")]);
        let unknown = || lost(Fate::Unknown);
        let failed = run.settle(vec![stored(1), unknown(), unknown(), unknown()]);
        assert_eq!(failed.expect_err("lost").fate, Fate::Unknown);
        assert_eq!(texts(&run.left()), ["c", "d"], "b may have been stored, and has no key");
        assert!(!run.is_decided());
        assert!(run.settle(vec![stored(3), stored(4)]).is_ok());
        assert!(run.is_decided());
        let answers = run.answers(None);
        let ids: Vec<_> = answers.iter().map(|a| a.as_ref().ok().map(|m| m.id)).collect();
        assert_eq!(ids, [Some(1), None, Some(3), Some(4)]);
        assert_eq!(answers[1].as_ref().expect_err("b").code(), Refused::Unavailable);
    }

    #[test]
    fn what_was_never_sent_goes_again_without_a_key() {
        let run = Run::new(vec![post("a", ""), post("b", "")]);
        assert!(run.settle(vec![lost(Fate::NotSent), lost(Fate::NotSent)]).is_err());
        assert_eq!(texts(&run.left()), ["a", "b"]);
        let failure = ChatError::unavailable("message-api", "gone");
        assert!(run.answers(Some(failure)).iter().all(Result::is_err));
    }
}
