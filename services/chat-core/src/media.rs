//! The port `Media`: files that people share. message-api implements it on an object store.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{error::Result, model::Caller};

/// Where media are served from: the first part of every media URL, root-relative.
pub const MEDIA_PATH: &str = "/media/";

/// Most bytes of one file.
pub const FILE_MAX: usize = 10 * 1024 * 1024;

/// A file as it is served.
pub struct Stored {
    /// Its type, as its content told when it came.
    pub content_type: String,
    /// How many bytes.
    pub size: u64,
    /// The bytes.
    pub content: BoxStream<'static, Result<Bytes>>,
}

/// Keeping files.
#[async_trait]
pub trait Media: Send + Sync + 'static {
    /// Keeps a file and returns its URL, `/media/<id>`. Only images, videos and audio are taken;
    /// the type is read from the content, never from a name. Fails with `unsupported_media`,
    /// `payload_too_large`, `unauthorised` for guests.
    async fn put(&self, caller: &Caller, content: Bytes) -> Result<String>;

    /// The file of a URL's last part. Fails with `not_found`.
    async fn get(&self, id: &str) -> Result<Stored>;
}
