//! The first round trip of a commit of posts: what decides about each of them, as it will stand
//! until the commit.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Display,
};

use chat_core::{Author, ConversationId, Message, Seq, UserId, Username, clock};
use sqlx::{FromRow, MySqlConnection, mysql::MySqlRow};

use super::{
    Result, StoreError,
    post::{DedupKey, Post},
    rows::{MessageRow, select_messages, stored_name},
    script::{Answers, Bytes, List, Moment, Place, Script, Text},
};

/// How far the ids of the rows that one `INSERT` lists lie apart. The server takes them all at
/// once, in their order, whatever its `innodb_autoinc_lock_mode`. On a cluster it is not 1.
const ID_STEP: &str = "CAST(@@SESSION.auto_increment_increment AS UNSIGNED)";

/// What the first round trip found, and holds.
#[derive(Debug)]
pub(super) struct Held {
    /// The heads of those conversations that exist. Their rows are held, so that their changes are
    /// stored one after the other.
    pub(super) heads: HashMap<ConversationId, Seq>,
    /// Those authors whose accounts have been deleted. The rows of all authors are held, so that
    /// a deletion waits, and nothing is stored after it has been confirmed.
    pub(super) deleted: HashSet<UserId>,
    /// The names of guests that somebody has registered since.
    pub(super) taken: HashSet<String>,
    /// The messages that were stored under these keys before, deleted ones too.
    pub(super) known: HashMap<DedupKey, Message>,
    /// From one id to the next.
    pub(super) id_step: u64,
    /// Are the heads in the database one further already?
    pub(super) is_raised: bool,
}

/// Begins a transaction. If the connection is lost meanwhile, nothing was stored.
pub(super) async fn hold(
    connection: &mut MySqlConnection,
    posts: &[Post],
    keys: &[Option<DedupKey>],
) -> Result<Held> {
    if let [post] = posts
        && let Some(held) = hold_one(connection, post, keys).await?
    {
        return Ok(held);
    }
    hold_all(connection, posts, keys).await
}

/// For a lone post: raises the head, which holds author and conversation, and tells it, in one
/// statement that answers without rows. `None` if either is not there: then nothing has changed.
///
/// The server looks for the author first, since that does not depend on the conversation.
async fn hold_one(
    connection: &mut MySqlConnection,
    post: &Post,
    keys: &[Option<DedupKey>],
) -> Result<Option<Held>> {
    let mut script = Script::default();
    script.add("BEGIN");
    let guests = add_guests(&mut script, std::slice::from_ref(post));
    let conversation = post.conversation.raw();
    let lives = post.author.user().map_or_else(String::new, |user| {
        let id = user.id.0;
        format!(
            " AND {id} = (SELECT id FROM users FORCE INDEX (PRIMARY) \
             WHERE id = {id} AND deleted_at IS NULL LOCK IN SHARE MODE)"
        )
    });
    let raised = script.add(format_args!(
        "UPDATE conversations FORCE INDEX (PRIMARY) SET head = LAST_INSERT_ID(head + 1), \
         message_count = message_count + 1, \
         last_activity_at = GREATEST(last_activity_at, {}) WHERE id = {conversation}{lives}",
        Moment(clock::now())
    ));
    let known = add_known(&mut script, keys);
    let answers = script.run(connection).await.map_err(StoreError::before_storing)?;
    // No head that was raised is 0.
    let Some(head) = answers.last_insert_id(raised).checked_sub(1) else { return Ok(None) };
    Ok(Some(Held {
        heads: HashMap::from([(post.conversation, Seq(head))]),
        deleted: HashSet::new(),
        taken: keys_of(rows(&answers, guests)?)?,
        known: known_of(rows(&answers, known)?)?,
        id_step: 1,
        is_raised: true,
    }))
}

/// Users come before conversations, and each in the order of their ids, so that two commits never
/// wait for each other. Keys come last: what was stored in a conversation is seen once it is held.
/// The primary keys are forced, lest the server scan, and hold, a small table as a whole.
async fn hold_all(
    connection: &mut MySqlConnection,
    posts: &[Post],
    keys: &[Option<DedupKey>],
) -> Result<Held> {
    let mut script = Script::default();
    script.add("BEGIN");
    let users = distinct(posts.iter().filter_map(|post| Some(post.author.user()?.id.0)));
    let users = add_about(&mut script, &users, |users| {
        format!(
            "SELECT id, deleted_at IS NOT NULL FROM users FORCE INDEX (PRIMARY) \
             WHERE id IN ({users}) ORDER BY id LOCK IN SHARE MODE"
        )
    });
    let guests = add_guests(&mut script, posts);
    let heads = distinct(posts.iter().map(|post| post.conversation.raw()));
    let heads = add_about(&mut script, &heads, |ids| {
        format!(
            "SELECT id, head, {ID_STEP} FROM conversations FORCE INDEX (PRIMARY) \
             WHERE id IN ({ids}) ORDER BY id FOR UPDATE"
        )
    });
    let known = add_known(&mut script, keys);
    let answers = script.run(connection).await.map_err(StoreError::before_storing)?;
    let heads: Vec<(u64, u64, u64)> = rows(&answers, heads)?;
    Ok(Held {
        id_step: heads.first().map_or(1, |(_, _, step)| *step),
        heads: heads_of(heads),
        deleted: deleted_of(rows(&answers, users)?),
        taken: keys_of(rows(&answers, guests)?)?,
        known: known_of(rows(&answers, known)?)?,
        is_raised: false,
    })
}

/// Asks who of the guests bears a name that is registered.
fn add_guests(script: &mut Script, posts: &[Post]) -> Option<Place> {
    let names = distinct(posts.iter().filter_map(|post| Some(guest(&post.author)?.as_str())));
    let names: Vec<_> = names.into_iter().map(Text).collect();
    add_about(script, &names, |names| format!("SELECT name FROM users WHERE name IN ({names})"))
}

/// Asks for what has been stored under these keys.
fn add_known(script: &mut Script, keys: &[Option<DedupKey>]) -> Option<Place> {
    let keys: Vec<_> = keys.iter().flatten().map(|key| Bytes(key)).collect();
    add_about(script, &keys, |keys| {
        let select = select_messages!("WHERE m.dedup_key IN (");
        format!("{}{keys})", select.replacen("SELECT ", "SELECT m.dedup_key, ", 1))
    })
}

/// The name of a guest.
pub(super) fn guest(author: &Author) -> Option<&Username> {
    match author {
        Author::Guest(name) => Some(name),
        Author::User(_) => None,
    }
}

/// Adds a statement about some values, if there are any.
fn add_about<T: Display>(
    script: &mut Script,
    values: &[T],
    statement: impl Fn(List<'_, T>) -> String,
) -> Option<Place> {
    (!values.is_empty()).then(|| script.add(statement(List(values))))
}

/// Each once, in their order.
fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.collect::<BTreeSet<_>>().into_iter().collect()
}

fn rows<T>(answers: &Answers, place: Option<Place>) -> Result<Vec<T>>
where
    T: for<'r> FromRow<'r, MySqlRow>,
{
    place.map_or_else(|| Ok(Vec::new()), |place| answers.rows(place))
}

fn heads_of(rows: Vec<(u64, u64, u64)>) -> HashMap<ConversationId, Seq> {
    rows.into_iter().map(|(id, head, _)| (ConversationId::from_raw(id), Seq(head))).collect()
}

fn deleted_of(rows: Vec<(u64, bool)>) -> HashSet<UserId> {
    rows.into_iter().filter_map(|(id, is_deleted)| is_deleted.then_some(UserId(id))).collect()
}

fn keys_of(rows: Vec<(String,)>) -> Result<HashSet<String>> {
    rows.into_iter().map(|(name,)| Ok(stored_name(&name)?.key())).collect()
}

/// A message that has a key.
#[derive(FromRow)]
struct Keyed {
    dedup_key: Vec<u8>,
    #[sqlx(flatten)]
    message: MessageRow,
}

fn known_of(rows: Vec<Keyed>) -> Result<HashMap<DedupKey, Message>> {
    let mut known = HashMap::new();
    for row in rows {
        if let Some(key) = row.dedup_key.first_chunk() {
            known.insert(*key, row.message.into_message()?);
        }
    }
    Ok(known)
}
