//! What the tables say, read past the product.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use sqlx::{Connection, MySqlConnection, Row};

use super::{Finding, Kind};
use crate::books::What;

/// A row of `messages`.
#[derive(Clone, Debug)]
pub struct Post {
    /// The message.
    pub id: u64,
    /// Where.
    pub conversation: u64,
    /// Its place there.
    pub seq: u64,
    /// Whose.
    pub author: String,
    /// As it stands now.
    pub text: String,
    /// Its key.
    pub key: Option<String>,
    /// Is it deleted?
    pub is_deleted: bool,
}

/// All messages and what happened to them.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// By id.
    pub posts: HashMap<u64, Post>,
    /// The places of edits, deletions and reads, by kind and message.
    pub changes: HashMap<(What, u64), BTreeSet<u64>>,
    heads: BTreeMap<u64, u64>,
    directs: HashMap<BTreeSet<String>, u64>,
}

impl Stored {
    /// Reads all of it.
    pub async fn read(database: &str) -> Result<Self> {
        let mut connection = MySqlConnection::connect(database).await?;
        let mut stored = Self::default();
        stored.read_posts(&mut connection).await?;
        stored.read_changes(&mut connection).await?;
        stored.read_conversations(&mut connection).await?;
        connection.close().await?;
        Ok(stored)
    }

    async fn read_posts(&mut self, connection: &mut MySqlConnection) -> Result<()> {
        let rows = sqlx::query(
            "SELECT id, conversation_id, seq, author_name, text, client_id, \
             deleted_at IS NOT NULL AS is_deleted FROM messages",
        );
        for row in rows.fetch_all(connection).await? {
            let post = Post {
                id: row.try_get("id")?,
                conversation: row.try_get("conversation_id")?,
                seq: row.try_get("seq")?,
                author: row.try_get("author_name")?,
                text: row.try_get("text")?,
                key: row.try_get("client_id")?,
                is_deleted: row.try_get::<i64, _>("is_deleted")? != 0,
            };
            self.posts.insert(post.id, post);
        }
        Ok(())
    }

    async fn read_changes(&mut self, connection: &mut MySqlConnection) -> Result<()> {
        let rows = sqlx::query(
            "SELECT c.seq, c.kind, m.id FROM changes c JOIN messages m \
             ON m.conversation_id = c.conversation_id AND m.seq = c.message_seq",
        );
        for row in rows.fetch_all(connection).await? {
            let what = match row.try_get::<u8, _>("kind")? {
                1 => What::Edited,
                2 => What::Deleted,
                _ => What::Read,
            };
            let seqs = self.changes.entry((what, row.try_get("id")?)).or_default();
            seqs.insert(row.try_get("seq")?);
        }
        Ok(())
    }

    async fn read_conversations(&mut self, connection: &mut MySqlConnection) -> Result<()> {
        let heads = sqlx::query("SELECT id, head FROM conversations");
        for row in heads.fetch_all(&mut *connection).await? {
            self.heads.insert(row.try_get("id")?, row.try_get("head")?);
        }
        let directs = sqlx::query(
            "SELECT d.conversation_id, low.name AS low_name, high.name AS high_name FROM directs d \
             JOIN users low ON low.id = d.low_user JOIN users high ON high.id = d.high_user",
        );
        for row in directs.fetch_all(connection).await? {
            let pair = [row.try_get("low_name")?, row.try_get("high_name")?];
            self.directs.insert(pair.into(), row.try_get("conversation_id")?);
        }
        Ok(())
    }

    /// The direct of two users, if they have one.
    #[must_use]
    pub fn direct(&self, one: &str, other: &str) -> Option<u64> {
        self.directs.get(&[one.to_owned(), other.to_owned()].into()).copied()
    }

    /// Every change of a conversation by its place.
    #[must_use]
    pub fn log(&self, conversation: u64) -> BTreeMap<u64, (What, &Post)> {
        let here = |post: &&Post| post.conversation == conversation;
        let posts = self.posts.values().filter(here);
        let mut log: BTreeMap<_, _> = posts.map(|post| (post.seq, (What::Posted, post))).collect();
        for ((what, id), seqs) in &self.changes {
            if let Some(post) = self.posts.get(id).filter(here) {
                log.extend(seqs.iter().map(|seq| (*seq, (*what, post))));
            }
        }
        log
    }

    /// Conversations whose changes are not exactly 1 to head.
    pub(super) fn holes(&self) -> Vec<Finding> {
        let hole = |(conversation, head): (&u64, &u64)| {
            let log = self.log(*conversation);
            let missing = (1..=*head).find(|seq| !log.contains_key(seq));
            let beyond = log.keys().find(|seq| *seq > head);
            let wrong = missing.or(beyond.copied())?;
            let what = format!("conversation {conversation}: place {wrong}, the head is {head}");
            Some(Finding::new(Kind::Lost, what))
        };
        self.heads.iter().filter_map(hole).collect()
    }
}
