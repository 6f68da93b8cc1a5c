//! A message to be stored, and the key that makes a retry harmless.

use chat_core::{Author, ClientId, ConversationId, Message, UserId, Via};
use sha2::{Digest, Sha256};

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
    /// The protocol that it came in by.
    pub via: Via,
}

/// 16 bytes that stand for an author and one of their keys.
pub(super) type DedupKey = [u8; 16];

impl Post {
    /// The author's kind and identity and the key, framed so that no two triples look alike.
    pub(super) fn dedup_key(&self) -> Option<DedupKey> {
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
    pub(super) fn recipient(&self) -> Option<UserId> {
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

#[cfg(test)]
pub(super) mod tests {
    use chat_core::{User, Username};

    use super::*;

    pub(in crate::store) fn post(author: Author, client_id: &str) -> Post {
        Post {
            conversation: ConversationId::LOBBY,
            peers: None,
            author,
            text: "hi".into(),
            media: Vec::new(),
            client_id: ClientId::parse(client_id).ok(),
            via: Via::Service,
        }
    }

    fn name(raw: &str) -> Username {
        Username::parse(raw).expect("a name")
    }

    pub(in crate::store) fn user(id: u64) -> Author {
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
}
