//! What one commit of many posts does: known keys, seqs, rows, unread counters.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use chat_core::{
    Author, ChatError, ClientId, Code, ConversationId, Message, MessageId, Seq, UserId, clock,
};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, MySqlConnection, Row};

use super::{
    Result, StoreError,
    rows::{MessageRow, media_column, select_messages},
    transaction::Work,
};

/// A message to be stored.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where.
    pub conversation: ConversationId,
    /// The two of a direct.
    pub peers: Option<[UserId; 2]>,
    /// By whom.
    pub author: Author,
    /// Its text.
    pub text: String,
    /// URLs of its media.
    pub media: Vec<String>,
    /// Makes a retry harmless.
    pub client_id: Option<ClientId>,
}

/// 16 bytes that stand for an author and one of their keys.
type DedupKey = [u8; 16];

impl Post {
    /// The author's kind and identity and the key, framed so that no two triples look alike.
    fn dedup_key(&self) -> Option<DedupKey> {
        let client_id = self.client_id.as_ref()?;
        let mut hash = Sha256::new();
        match &self.author {
            Author::User(user) => {
                hash.update([0]);
                hash.update(user.id.0.to_be_bytes());
            }
            Author::Guest(name) => {
                let name = name.key();
                hash.update([1, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
                hash.update(name);
            }
        }
        hash.update(client_id.as_str());
        hash.finalize().first_chunk().copied()
    }

    /// Who will have one more to read.
    fn recipient(&self) -> Option<UserId> {
        let author = self.author.user()?.id;
        self.peers?.into_iter().find(|peer| *peer != author)
    }
}

/// What became of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The message; the first one, if the author has used this key before.
    pub message: Message,
    /// Was it stored now? If not, nobody need hear of it.
    pub is_new: bool,
}

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
        let plan = Plan::new(self.0, &keys, &known);
        let heads = raise_heads(connection, &plan.fresh).await?;
        let (messages, refused) = with_seqs(&plan.fresh, heads);
        let messages = insert(connection, messages).await?;
        count_unread(connection, &messages).await?;
        let stored: HashMap<usize, Message> =
            messages.into_iter().map(|new| (new.index, new.message)).collect();
        Ok(self.answers(&plan, &stored, refused, known, &keys))
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
        refused: Vec<usize>,
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

/// A message on its way into its row.
struct New<'a> {
    index: usize,
    post: &'a Post,
    message: Message,
}

/// The messages that were stored under these keys before, deleted ones too.
async fn known_messages(
    connection: &mut MySqlConnection,
    keys: &[Option<DedupKey>],
) -> Result<HashMap<DedupKey, Message>> {
    let keys: Vec<&DedupKey> = keys.iter().flatten().collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let marks = vec!["?"; keys.len()].join(",");
    let sql =
        select_messages!("WHERE m.dedup_key IN (").replacen("SELECT ", "SELECT m.dedup_key, ", 1)
            + &marks
            + ")";
    // Not kept: every length of list would be a statement of its own in the cache.
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(keys.len() == 1);
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

/// Takes seqs for the fresh posts: for each conversation the one before its first. Conversations
/// are held in the order of their ids, so that two batches never wait for each other.
async fn raise_heads(
    connection: &mut MySqlConnection,
    fresh: &[(usize, &Post)],
) -> Result<HashMap<ConversationId, Seq>> {
    let mut counts = BTreeMap::<_, u64>::new();
    for (_, post) in fresh {
        *counts.entry(post.conversation).or_default() += 1;
    }
    let now = clock::now();
    let mut before = HashMap::new();
    for (id, count) in counts {
        let raised = sqlx::query(
            "UPDATE conversations SET head = LAST_INSERT_ID(head + ?), \
             message_count = message_count + ?, \
             last_activity_at = GREATEST(last_activity_at, ?) WHERE id = ?",
        )
        .bind(count)
        .bind(count)
        .bind(now)
        .bind(id.raw())
        .execute(&mut *connection)
        .await?;
        if raised.rows_affected() == 1 {
            before.insert(id, Seq(raised.last_insert_id() - count));
        }
    }
    Ok(before)
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
        };
        messages.push(New { index, post, message });
    }
    (messages, refused)
}

/// Stores the rows with one statement and learns their ids.
async fn insert<'a>(
    connection: &mut MySqlConnection,
    mut messages: Vec<New<'a>>,
) -> Result<Vec<New<'a>>> {
    if messages.is_empty() {
        return Ok(messages);
    }
    let rows = vec!["(?,?,?,?,?,?,?,?,?)"; messages.len()].join(",");
    let sql = format!(
        "INSERT INTO messages (conversation_id, seq, author_id, author_name, text, media, \
         created_at, client_id, dedup_key) VALUES {rows}"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(messages.len() == 1);
    for New { post, message, .. } in &messages {
        query = query
            .bind(message.conversation.raw())
            .bind(message.seq.0)
            .bind(post.author.user().map(|user| user.id.0))
            .bind(post.author.name().as_str())
            .bind(&post.text)
            .bind(media_column(&post.media))
            .bind(message.created_at)
            .bind(post.client_id.as_ref().map(ClientId::as_str))
            .bind(post.dedup_key().map(|key| key.to_vec()));
    }
    let done = query.execute(&mut *connection).await?;
    if let [only] = messages.as_mut_slice() {
        only.message.id = MessageId(done.last_insert_id());
    } else {
        read_ids(connection, &mut messages).await?;
    }
    Ok(messages)
}

/// The ids of several rows are read back: how they follow one another is the server's business.
async fn read_ids(connection: &mut MySqlConnection, messages: &mut [New<'_>]) -> Result<()> {
    let mut spans = BTreeMap::<ConversationId, (Seq, Seq)>::new();
    for New { message, .. } in &*messages {
        let span = spans.entry(message.conversation).or_insert((message.seq, message.seq));
        *span = (span.0.min(message.seq), span.1.max(message.seq));
    }
    let clause = "(conversation_id = ? AND seq BETWEEN ? AND ?)";
    let sql = format!(
        "SELECT conversation_id, seq, id FROM messages WHERE {}",
        vec![clause; spans.len()].join(" OR ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).persistent(spans.len() == 1);
    for (id, (first, last)) in &spans {
        query = query.bind(id.raw()).bind(first.0).bind(last.0);
    }
    let rows: Vec<(u64, u64, u64)> = query.fetch_all(connection).await?;
    let ids: HashMap<_, _> = rows.into_iter().map(|(c, seq, id)| ((c, seq), id)).collect();
    for New { message, .. } in messages {
        let id = ids.get(&(message.conversation.raw(), message.seq.0));
        let id = id.ok_or_else(|| ChatError::internal("a stored row is not there", message.seq))?;
        message.id = MessageId(*id);
    }
    Ok(())
}

/// One statement raises the counters of all directs.
async fn count_unread(connection: &mut MySqlConnection, messages: &[New<'_>]) -> Result<()> {
    let mut unread = BTreeMap::<_, u64>::new();
    for New { post, .. } in messages {
        if let Some(recipient) = post.recipient() {
            *unread.entry((post.conversation, recipient)).or_default() += 1;
        }
    }
    if unread.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO direct_members (conversation_id, user_id, unread) VALUES {} \
         ON DUPLICATE KEY UPDATE unread = unread + VALUES(unread)",
        vec!["(?,?,?)"; unread.len()].join(",")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(unread.len() == 1);
    for ((conversation, user), count) in unread {
        query = query.bind(conversation.raw()).bind(user.0).bind(count);
    }
    query.execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chat_core::{User, Username};

    use super::*;

    fn post(author: Author, client_id: &str) -> Post {
        Post {
            conversation: ConversationId::LOBBY,
            peers: None,
            author,
            text: "hi".into(),
            media: Vec::new(),
            client_id: ClientId::parse(client_id).ok(),
        }
    }

    fn name(raw: &str) -> Username {
        Username::parse(raw).expect("a name")
    }

    fn user(id: u64) -> Author {
        Author::User(User { id: UserId(id), name: name("alice") })
    }

    #[test]
    fn a_key_belongs_to_its_author() {
        let key = |author, client_id| post(author, client_id).dedup_key();
        assert_eq!(key(user(1), "k"), key(user(1), "k"));
        assert_eq!(key(Author::Guest(name("Bob")), "k"), key(Author::Guest(name("bob")), "k"));
        assert_ne!(key(user(1), "k"), key(user(2), "k"));
        assert_ne!(key(user(1), "k"), key(Author::Guest(name("alice")), "k"));
        let (one, other) = (Author::Guest(name("ab")), Author::Guest(name("abc")));
        assert_ne!(key(one, "cd"), key(other, "d"));
        assert_eq!(key(user(1), ""), None);
    }

    #[test]
    fn only_the_first_of_a_key_is_fresh_in_a_batch() {
        let posts = [post(user(1), "k"), post(user(1), "k"), post(user(1), ""), post(user(1), "")];
        let keys: Vec<_> = posts.iter().map(Post::dedup_key).collect();
        let plan = Plan::new(&posts, &keys, &HashMap::new());
        assert_eq!(plan.fresh.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(plan.first, HashMap::from([(1, 0)]));
    }
}
