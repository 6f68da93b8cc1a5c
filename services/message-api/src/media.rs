//! Files that people share: the port `Media`, on an object store (a directory, or S3 and what
//! speaks like it) for the bytes and a table for whose they are.
//!
//! The bytes are stored first, then the row. What has a row therefore has its bytes; a crash
//! between the two leaves bytes that nobody can ask for. A client that hangs up does not come between.
//!
//! Nothing is ever unpacked or decoded here: an image's size when decoded is its reader's concern.

mod kind;
mod place;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use chat_core::{
    Caller, ChatError, Code, Media, Result, User,
    media::{FILE_MAX, MEDIA_PATH, Stored},
    process::Shutdown,
};
use futures_util::StreamExt;
use object_store::ObjectStoreExt;
use rand::RngExt;

pub use self::place::Place;
use crate::store::{Medium, Store, StoreError};

/// Characters of an id: 128 random bits in base64, safe in URLs and in file names.
const ID_LENGTH: usize = 22;

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

    async fn keep(&self, user: &User, content: Bytes) -> Result<String> {
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let content_type = kind::content_type(&content).ok_or_else(unsupported)?.to_owned();
        // Asked before the bytes are stored, and not from memory.
        let standing = self.store.standing(user.id).await?;
        if !standing.is_some_and(|known| !known.is_deleted && known.user == *user) {
            return Err(ChatError::unauthorised());
        }
        let medium = Medium { content_type, size };
        self.store.room_for_medium(user.id, &medium, self.quota).await?;
        let id = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 16]>());
        let place = self.place.of(&id);
        self.place.objects.put(&place, content.into()).await.map_err(down)?;
        let added = self.store.add_medium(&id, user.id, &medium, self.quota).await;
        match added {
            Ok(()) => {}
            Err(StoreError::Refused(refusal)) => {
                // Another upload was faster. Nobody knows the bytes; they only take room.
                if let Err(cause) = self.place.objects.delete(&place).await {
                    tracing::warn!(%cause, id, "a refused file is left in the object store");
                }
                return Err(refusal);
            }
            Err(error) => return Err(error.into()),
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
        let found =
            self.place.objects.get(&self.place.of(id)).await.map_err(|error| match error {
                object_store::Error::NotFound { .. } => {
                    ChatError::internal("a file is lost", error)
                }
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

fn checked_id(id: &str) -> Option<&str> {
    let is_id_character = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
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
}
