//! What one commit of many posts does: known keys, seqs (heads.rs), then the rows (insert.rs).

use std::collections::{BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use chat_core::{ChatError, Code, ConversationId, Message, MessageId, Seq, UserId, clock};
use sqlx::{AssertSqlSafe, MySqlConnection, Row};

use super::{
    Result, StoreError,
    heads::raise_heads,
    insert::{New, count_unread, insert},
    post::{DedupKey, Post, Stored},
    rows::{MessageRow, select_messages},
    shapes,
    transaction::Work,
};

/// One answer for each post, in their order.
pub(super) type Answers = Vec<Result<Stored, ChatError>>;

/// Many posts, one transaction.
pub(super) struct Batch<'a>(pub(super) &'a [Post]);

#[async_trait]
impl Work for Batch<'_> {
    type Out = Answers;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Answers> {
        let keys: Vec<_> = self.0.iter().map(Post::dedup_key).collect();
        let known = known_messages(connection, &keys).await?;
        let mut plan = Plan::new(self.0, &keys, &known);
        let gone = deleted_authors(connection, &plan.fresh).await?;
        plan.fresh.retain(|(_, post)| !is_of(post, &gone));
        let conversations = plan.fresh.iter().map(|(_, post)| post.conversation);
        let heads = raise_heads(connection, conversations).await?;
        let (messages, refused) = with_seqs(&plan.fresh, heads);
        let messages = insert(connection, messages).await?;
        count_unread(connection, &messages).await?;
        let stored: HashMap<usize, Message> =
            messages.into_iter().map(|new| (new.index, new.message)).collect();
        Ok(self.answers(&plan, &stored, (refused, gone), known, &keys))
    }

    /// A key that another replica stored meanwhile is found at the next look.
    fn worth_repeating(&self, error: &StoreError) -> bool {
        error.is_contention() || error.is_duplicate()
    }
}

impl Batch<'_> {
    fn answers(
        &self,
        plan: &Plan<'_>,
        stored: &HashMap<usize, Message>,
        (refused, gone): (Vec<usize>, HashSet<UserId>),
        known: HashMap<DedupKey, Message>,
        keys: &[Option<DedupKey>],
    ) -> Answers {
        let answer = |index: usize| {
            if let Some(message) = keys[index].as_ref().and_then(|key| known.get(key)) {
                return Ok(Stored { message: message.clone(), is_new: false });
            }
            let first = plan.first.get(&index).copied().unwrap_or(index);
            match stored.get(&first) {
                Some(message) => Ok(Stored { message: message.clone(), is_new: first == index }),
                None if refused.contains(&first) => {
                    Err(ChatError::new(Code::NotFound, "there is no such conversation"))
                }
                None if is_of(&self.0[index], &gone) => {
                    let sentence = "this account has been deleted";
                    Err(ChatError::new(Code::Unauthorised, sentence))
                }
                None => Err(ChatError::internal("a post got lost in its batch", index)),
            }
        };
        (0..self.0.len()).map(answer).collect()
    }
}

/// Which posts are new, and which repeat one of the same batch.
struct Plan<'a> {
    fresh: Vec<(usize, &'a Post)>,
    first: HashMap<usize, usize>,
}

impl<'a> Plan<'a> {
    fn new(
        posts: &'a [Post],
        keys: &[Option<DedupKey>],
        known: &HashMap<DedupKey, Message>,
    ) -> Self {
        let mut plan = Self { fresh: Vec::new(), first: HashMap::new() };
        let mut seen = HashMap::new();
        for (index, post) in posts.iter().enumerate() {
            match keys[index] {
                Some(key) if known.contains_key(&key) => {}
                Some(key) if seen.contains_key(&key) => {
                    plan.first.insert(index, seen[&key]);
                }
                key => {
                    key.map(|key| seen.insert(key, index));
                    plan.fresh.push((index, post));
                }
            }
        }
        plan
    }
}

/// The messages that were stored under these keys before, deleted ones too.
async fn known_messages(
    connection: &mut MySqlConnection,
    keys: &[Option<DedupKey>],
) -> Result<HashMap<DedupKey, Message>> {
    let keys: Vec<&DedupKey> = shapes::padded(keys.iter().flatten().collect());
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let marks = vec!["?"; keys.len()].join(",");
    let sql =
        select_messages!("WHERE m.dedup_key IN (").replacen("SELECT ", "SELECT m.dedup_key, ", 1)
            + &marks
            + ")";
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for key in keys {
        query = query.bind(key.as_slice());
    }
    let mut known = HashMap::new();
    for row in query.fetch_all(connection).await? {
        let key: Vec<u8> = row.try_get("dedup_key")?;
        let message = <MessageRow as sqlx::FromRow<_>>::from_row(&row)?.into_message()?;
        if let Some(key) = key.first_chunk() {
            known.insert(*key, message);
        }
    }
    Ok(known)
}

/// Those authors whose accounts have been deleted. Their rows are held until the commit, so that a
/// deletion waits for it, and nothing is stored after a deletion has been confirmed.
async fn deleted_authors(
    connection: &mut MySqlConnection,
    fresh: &[(usize, &Post)],
) -> Result<HashSet<UserId>> {
    let authors: BTreeSet<_> =
        fresh.iter().filter_map(|(_, post)| post.author.user()).map(|user| user.id.0).collect();
    let authors = shapes::padded(authors.into_iter().collect());
    if authors.is_empty() {
        return Ok(HashSet::new());
    }
    let marks = vec!["?"; authors.len()].join(",");
    let sql = format!(
        "SELECT id, deleted_at IS NOT NULL FROM users FORCE INDEX (PRIMARY) \
         WHERE id IN ({marks}) LOCK IN SHARE MODE"
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for author in authors {
        query = query.bind(author);
    }
    let rows: Vec<(u64, bool)> = query.fetch_all(connection).await?;
    Ok(rows.into_iter().filter_map(|(id, gone)| gone.then_some(UserId(id))).collect())
}

fn is_of(post: &Post, users: &HashSet<UserId>) -> bool {
    post.author.user().is_some_and(|user| users.contains(&user.id))
}

/// Gives each fresh post its place, in the order in which they queued up. Those whose conversation
/// does not exist are refused. The time is taken now that the conversations are held, so that it
/// runs with the seqs.
fn with_seqs<'a>(
    fresh: &[(usize, &'a Post)],
    mut heads: HashMap<ConversationId, Seq>,
) -> (Vec<New<'a>>, Vec<usize>) {
    let now = clock::now();
    let (mut messages, mut refused) = (Vec::new(), Vec::new());
    for &(index, post) in fresh {
        let Some(head) = heads.get_mut(&post.conversation) else {
            refused.push(index);
            continue;
        };
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
        messages.push(New { index, post, message });
    }
    (messages, refused)
}

#[cfg(test)]
mod guard;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::post::tests::{post, user};

    #[test]
    fn only_the_first_of_a_key_is_fresh_in_a_batch() {
        let posts = [post(user(1), "k"), post(user(1), "k"), post(user(1), ""), post(user(1), "")];
        let keys: Vec<_> = posts.iter().map(Post::dedup_key).collect();
        let plan = Plan::new(&posts, &keys, &HashMap::new());
        assert_eq!(plan.fresh.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(plan.first, HashMap::from([(1, 0)]));
    }
}
