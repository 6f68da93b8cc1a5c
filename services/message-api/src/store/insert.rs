//! The second round trip of a commit of posts: heads, rows, unread counters, and the commit itself.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
};

use chat_core::{ClientId, Message, MessageId, clock};
use sqlx::MySqlConnection;

use super::{
    Result, mentions,
    post::{DedupKey, Post},
    rows::{media_column, via_column},
    script::{Bytes, List, Moment, Nullable, Script, Text},
};

/// A message on its way into its row.
pub(super) struct New<'a> {
    pub(super) post: &'a Post,
    pub(super) key: Option<DedupKey>,
    pub(super) message: Message,
}

/// Stores all that is new, commits, and answers the messages with their ids. Their conversations
/// are held; `id_step` and `is_raised` are what [`Held`](super::hold::Held) says. Where nothing is
/// new, nothing may stay: a head was raised for a post that now is none.
pub(super) async fn store(
    connection: &mut MySqlConnection,
    new: Vec<New<'_>>,
    id_step: u64,
    is_raised: bool,
) -> Result<Vec<Message>> {
    let mut script = Script::default();
    if new.is_empty() {
        script.add("ROLLBACK");
        script.run(connection).await?;
        return Ok(Vec::new());
    }
    if !is_raised {
        raise_heads(&mut script, &new);
    }
    let inserted = script.add(format_args!(
        "INSERT INTO messages (conversation_id, seq, author_id, author_name, text, media, \
         created_at, client_id, dedup_key, via) VALUES {}",
        List(&new)
    ));
    count_unread(&mut script, &new);
    for New { message, .. } in &new {
        mentions::add(&mut script, message);
    }
    script.add("COMMIT");
    let first = script.run(connection).await?.last_insert_id(inserted);
    let ids = (0..).map(|n| MessageId(first + n * id_step));
    Ok(new.into_iter().zip(ids).map(|(new, id)| Message { id, ..new.message }).collect())
}

/// Raises the head of each conversation by its number of posts: a statement for each number.
fn raise_heads(script: &mut Script, new: &[New<'_>]) {
    let mut counts = BTreeMap::<_, u64>::new();
    for New { post, .. } in new {
        *counts.entry(post.conversation.raw()).or_default() += 1;
    }
    let mut by_count = BTreeMap::<_, Vec<u64>>::new();
    for (id, count) in counts {
        by_count.entry(count).or_default().push(id);
    }
    let now = Moment(clock::now());
    for (count, ids) in by_count {
        script.add(format_args!(
            "UPDATE conversations FORCE INDEX (PRIMARY) SET head = head + {count}, \
             message_count = message_count + {count}, \
             last_activity_at = GREATEST(last_activity_at, {now}) WHERE id IN ({})",
            List(&ids)
        ));
    }
}

/// One statement raises the counters of all directs.
fn count_unread(script: &mut Script, new: &[New<'_>]) {
    let mut unread = BTreeMap::<_, u64>::new();
    for New { post, .. } in new {
        if let Some(recipient) = post.recipient() {
            *unread.entry((post.conversation.raw(), recipient.0)).or_default() += 1;
        }
    }
    if unread.is_empty() {
        return;
    }
    let row = |((conversation, user), count)| format!("({conversation},{user},{count})");
    let rows: Vec<_> = unread.into_iter().map(row).collect();
    script.add(format_args!(
        "INSERT INTO direct_members (conversation_id, user_id, unread) VALUES {} \
         ON DUPLICATE KEY UPDATE unread = unread + VALUES(unread)",
        List(&rows)
    ));
}

/// A row of `messages`.
impl Display for New<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { post, key, message } = self;
        let media = media_column(&post.media);
        write!(
            f,
            "({},{},{},{},{},{},{},{},{},{})",
            message.conversation.raw(),
            message.seq,
            Nullable(post.author.user().map(|user| user.id.0)),
            Text(post.author.name().as_str()),
            Text(&post.text),
            Nullable(media.as_deref().map(Text)),
            Moment(message.created_at),
            Nullable(post.client_id.as_ref().map(ClientId::as_str).map(Text)),
            Nullable(key.as_ref().map(|key| Bytes(key))),
            via_column(post.via)
        )
    }
}
