//! Files that people share: the port `Media`, on an object store (a directory, or S3 and what
//! speaks like it) for the bytes and a table for whose they are.
//!
//! The row comes first, and counts; then the bytes; then the row says that they are there. So nothing
//! lies in the object store that does not count, whenever a replica dies. What is cut off on its way,
//! and what no message names any more, is removed by whichever replica looks first: the bytes first,
//! then the row ([`Library::keep_clean`]).
//!
//! Nothing is ever unpacked or decoded here. How large an image becomes when its readers decode it
//! is read from its headers.

mod kind;
mod pixels;
mod place;

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use chat_core::{
    Caller, ChatError, Code, Media, Result, User,
    media::{FILE_MAX, MEDIA_PATH, Stored},
    process::Shutdown,
};
use futures_util::StreamExt;
use rand::RngExt;
use tokio::time::timeout;

pub use self::place::Place;
use crate::store::{Medium, Store};

/// Characters of an id: 128 random bits in base64, safe in URLs and in file names.
const ID_LENGTH: usize = 22;

/// How often a replica looks for what others left, on average.
const ROUNDS: Duration = Duration::from_secs(60 * 60);

/// No upload takes so long: the object store gives up after some minutes.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// Files that are looked up at once.
const BATCH: u32 = 100;

/// So many failures end a round.
const FAILURES: u32 = 10;

/// Where files are kept.
#[derive(Clone, Debug)]
pub struct Library {
    store: Store,
    place: Place,
    quota: u64,
    /// Where changes go to their ends.
    tasks: Shutdown,
}

impl Library {
    /// A library whose bytes are kept there, so many of each user.
    #[must_use]
    pub fn new(store: Store, place: Place, quota: u64, tasks: &Shutdown) -> Self {
        Self { store, place, quota, tasks: tasks.clone() }
    }

    /// Removes what is to be removed: now, when there may be something new, and now and then what
    /// other replicas left. Any number of replicas may do so at once.
    pub async fn keep_clean(self) {
        loop {
            if let Err(refusal) = self.clean(ABANDONED).await {
                tracing::warn!(%refusal, "files that nobody needs wait for the next round");
            }
            let pause = ROUNDS.mul_f64(rand::rng().random_range(0.5..1.5));
            let _ = timeout(pause, self.store.until_doomed()).await;
        }
    }

    /// One round: gives up uploads that began so long ago, and removes what is to be removed. One
    /// that can't be removed now is left for the next round, and keeps counting.
    pub async fn clean(&self, age: Duration) -> Result<()> {
        self.store.give_up_old_media(age).await?;
        let (mut after, mut failures) = (String::new(), 0);
        loop {
            let some = self.store.doomed_media(&after, BATCH).await?;
            let Some(last) = some.last() else { return Ok(()) };
            after.clone_from(&last.id);
            for doomed in &some {
                match self.place.remove(&doomed.id).await {
                    Ok(()) if self.store.forget_medium(doomed).await? => {
                        metrics::counter!("switchboard_media_removed_total").increment(1);
                    }
                    Ok(()) => {}
                    Err(cause) => {
                        failures += 1;
                        if failures == FAILURES {
                            return Err(down(cause));
                        }
                        tracing::warn!(%cause, id = doomed.id, "a file can't be removed yet");
                    }
                }
            }
        }
    }

    async fn keep(&self, user: &User, content: Bytes) -> Result<String> {
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let content_type = kind::content_type(&content).ok_or_else(unsupported)?.to_owned();
        pixels::check(&content_type, &content)?;
        // Asked before the bytes are stored, and not from memory.
        let standing = self.store.standing(user.id).await?;
        if !standing.is_some_and(|known| !known.is_deleted && known.user == *user) {
            return Err(ChatError::unauthorised());
        }
        let medium = Medium { content_type, size };
        let id = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 16]>());
        self.store.add_medium(&id, user.id, &medium, self.quota).await?;
        if let Err(cause) = self.place.put(&id, content).await {
            // Else it is given up once it is old.
            if let Err(error) = self.store.give_up_medium(&id).await {
                tracing::warn!(%error, id, "the room of a file that was not stored is not free yet");
            }
            return Err(down(cause));
        }
        if !self.store.settle_medium(&id).await? {
            self.place.remove(&id).await.map_err(down)?;
            return Err(ChatError::unavailable("media", "storing a file took too long"));
        }
        metrics::counter!("switchboard_media_stored_total").increment(1);
        Ok(format!("{MEDIA_PATH}{id}"))
    }
}

#[async_trait]
impl Media for Library {
    async fn put(&self, caller: &Caller, content: Bytes) -> Result<String> {
        let user = caller.user().ok_or_else(ChatError::unauthorised)?;
        if content.len() > FILE_MAX {
            return Err(ChatError::new(Code::PayloadTooLarge, "a file has at most 10 MiB"));
        }
        let (library, user) = (self.clone(), user.clone());
        self.tasks.to_the_end(async move { library.keep(&user, content).await }).await
    }

    async fn get(&self, id: &str) -> Result<Stored> {
        let id = checked_id(id).ok_or_else(no_such_file)?;
        let Medium { content_type, size } =
            self.store.medium(id).await?.ok_or_else(no_such_file)?;
        let found = self.place.get(id).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => ChatError::internal("a file is lost", error),
            other => down(other),
        })?;
        let content = found.into_stream().map(|part| part.map_err(down)).boxed();
        Ok(Stored { content_type, size: size.into(), content })
    }
}

/// The id in the URL of an upload.
pub(crate) fn id_of(url: &str) -> Option<&str> {
    checked_id(url.strip_prefix(MEDIA_PATH)?)
}

/// The ids of all our URLs in a text, wherever they stand in it.
pub(crate) fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(MEDIA_PATH).filter_map(|(at, path)| {
        let rest = &text[at + path.len()..];
        let end = rest.find(|c: char| !c.is_ascii() || !is_id_character(c as u8));
        checked_id(&rest[..end.unwrap_or(rest.len())])
    })
}

const fn is_id_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn checked_id(id: &str) -> Option<&str> {
    (id.len() == ID_LENGTH && id.bytes().all(is_id_character)).then_some(id)
}

fn unsupported() -> ChatError {
    let sentence = "only whole images, videos and audio files are taken";
    ChatError::new(Code::UnsupportedMedia, sentence)
}

fn no_such_file() -> ChatError {
    ChatError::new(Code::NotFound, "there is no such file")
}

fn down(cause: object_store::Error) -> ChatError {
    ChatError::unavailable("media", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_upload_returned_looks_like_an_id() {
        let id = "AAAAAAAAAAAAAAAAAAAA-_";
        assert_eq!(id_of(&format!("/media/{id}")), Some(id));
        for wrong in [
            "",
            "/media/",
            "/media/../../etc/passwd",
            "/media/AAAAAAAAAAAAAAAAAAAA/_",
            "/media/AAAAAAAAAAAAAAAAAAAA%2f",
            "/media/AAAAAAAAAAAAAAAAAAAA-_A",
            "https://example.org/media/AAAAAAAAAAAAAAAAAAAA-_",
            "AAAAAAAAAAAAAAAAAAAA-_",
        ] {
            assert_eq!(id_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn links_are_found_wherever_they_stand_in_a_text() {
        let (one, other) = ("AAAAAAAAAAAAAAAAAAAA-_", "BBBBBBBBBBBBBBBBBBBBBB");
        let text = format!("/media/{one}![é](https://x.org/media/{other}) é/media/{one}é");
        assert_eq!(ids_in(&text).collect::<Vec<_>>(), [one, other, one]);
        for without in ["", "/media/", "/media/é", &format!("/media/{one}A"), &text[..20]] {
            assert_eq!(ids_in(without).count(), 0, "{without}");
        }
    }
}
