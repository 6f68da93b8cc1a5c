//! What one commit of many posts does: two round trips, and between them a verdict on each post.

use std::collections::HashMap;

use async_trait::async_trait;
use chat_core::{ChatError, Code, ConversationId, Message, MessageId, Seq, clock};
use sqlx::MySqlConnection;

use super::{
    Result, StoreError,
    hold::{Held, guest, hold},
    insert::{New, store},
    post::{DedupKey, Post, Stored},
    transaction::Transaction,
    users::username_taken,
};

/// One answer for each post, in their order.
pub(super) type Answers = Vec<Result<Stored, ChatError>>;

/// Many posts, one transaction.
pub(super) struct Batch<'a>(pub(super) &'a [Post]);

#[async_trait]
impl Transaction for Batch<'_> {
    type Out = Answers;

    async fn commit(&self, connection: &mut MySqlConnection) -> Result<Answers> {
        let keys: Vec<_> = self.0.iter().map(Post::dedup_key).collect();
        let held = hold(connection, self.0, &keys).await?;
        let verdicts = verdicts(self.0, &keys, &held);
        let new = with_seqs(self.0, &keys, &verdicts, held.heads);
        let stored = store(connection, new, held.id_step, held.is_raised).await?;
        Ok(answers(verdicts, stored))
    }

    /// A key that another replica stored meanwhile is found at the next look.
    fn worth_repeating(&self, error: &StoreError) -> bool {
        error.is_contention() || error.is_duplicate() || matches!(error, StoreError::NotBegun(_))
    }
}

/// What is to become of a post.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is stored.
    New,
    /// It repeats one that was stored before.
    Known(Box<Message>),
    /// It repeats that one of the same batch, which is new.
    Same(usize),
    Refused(ChatError),
}

fn verdicts(posts: &[Post], keys: &[Option<DedupKey>], held: &Held) -> Vec<Verdict> {
    let mut seen = HashMap::new();
    let verdict = |(index, (post, key)): (usize, (&Post, &Option<DedupKey>))| {
        if guest(&post.author).is_some_and(|name| held.taken.contains(&name.key())) {
            return Verdict::Refused(username_taken());
        }
        if let Some(message) = key.as_ref().and_then(|key| held.known.get(key)) {
            return Verdict::Known(Box::new(message.clone()));
        }
        if post.author.user().is_some_and(|user| held.deleted.contains(&user.id)) {
            let sentence = "this account has been deleted";
            return Verdict::Refused(ChatError::new(Code::Unauthorised, sentence));
        }
        if let Some(first) = key.as_ref().and_then(|key| seen.get(key)) {
            return Verdict::Same(*first);
        }
        if !held.heads.contains_key(&post.conversation) {
            let sentence = "there is no such conversation";
            return Verdict::Refused(ChatError::new(Code::NotFound, sentence));
        }
        key.map(|key| seen.insert(key, index));
        Verdict::New
    };
    posts.iter().zip(keys).enumerate().map(verdict).collect()
}

/// Gives each new post its place, in the order in which they queued up. The time is taken now that
/// the conversations are held, so that it runs with the seqs.
fn with_seqs<'a>(
    posts: &'a [Post],
    keys: &[Option<DedupKey>],
    verdicts: &[Verdict],
    mut heads: HashMap<ConversationId, Seq>,
) -> Vec<New<'a>> {
    let now = clock::now();
    let place = |((post, key), verdict): ((&'a Post, &Option<DedupKey>), &Verdict)| {
        let head = heads.get_mut(&post.conversation).filter(|_| *verdict == Verdict::New)?;
        *head = head.next();
        let message = Message {
            id: MessageId(0),
            conversation: post.conversation,
            seq: *head,
            author: post.author.clone(),
            text: post.text.clone(),
            media: post.media.clone(),
            created_at: now,
            edited_at: None,
            is_read: false,
            client_id: post.client_id.clone(),
            via: post.via,
        };
        Some(New { post, key: *key, message })
    };
    posts.iter().zip(keys).zip(verdicts).filter_map(place).collect()
}

fn answers(verdicts: Vec<Verdict>, stored: Vec<Message>) -> Answers {
    let mut stored = stored.into_iter();
    let mut answers: Answers = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        answers.push(match verdict {
            Verdict::New => match stored.next() {
                Some(message) => Ok(Stored { message, is_new: true }),
                None => Err(ChatError::internal("a post got lost in its batch", answers.len())),
            },
            Verdict::Known(message) => Ok(Stored { message: *message, is_new: false }),
            Verdict::Same(first) => {
                answers[first].clone().map(|stored| Stored { is_new: false, ..stored })
            }
            Verdict::Refused(refusal) => Err(refusal),
        });
    }
    answers
}

#[cfg(test)]
mod guard;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chat_core::UserId;

    use super::*;
    use crate::store::post::tests::{post, user};

    #[test]
    fn only_the_first_of_a_key_is_new_in_a_batch() {
        let posts = [post(user(1), "k"), post(user(1), "k"), post(user(1), ""), post(user(2), "")];
        let keys: Vec<_> = posts.iter().map(Post::dedup_key).collect();
        let held = Held {
            heads: HashMap::from([(ConversationId::LOBBY, Seq(7))]),
            deleted: HashSet::from([UserId(2)]),
            taken: HashSet::new(),
            known: HashMap::new(),
            id_step: 1,
            is_raised: false,
        };
        let verdicts = verdicts(&posts, &keys, &held);
        assert_eq!(verdicts[..3], [Verdict::New, Verdict::Same(0), Verdict::New]);
        assert!(matches!(&verdicts[3], Verdict::Refused(e) if e.code() == Code::Unauthorised));
        let new = with_seqs(&posts, &keys, &verdicts, held.heads);
        assert_eq!(new.iter().map(|new| new.message.seq.0).collect::<Vec<_>>(), [8, 9]);
        let answers = answers(verdicts, new.into_iter().map(|new| new.message).collect());
        let is_new = answers[..3].iter().map(|a| a.as_ref().map(|stored| stored.is_new));
        assert_eq!(is_new.collect::<Vec<_>>(), [Ok(true), Ok(false), Ok(true)]);
    }
}
