//! The form that files come in, read part by part: as much of it is held as one file takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::StatusCode,
};
use bytes::{Bytes, BytesMut};
use chat_core::{ChatError, Code, media::FILE_MAX, model::MEDIA_MAX};
use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;

use super::{
    answers::no_upload,
    places::{Owner, Place, Places},
};

/// The field that files are in.
const FIELD: &str = "files";

/// Bytes that may stand before a file, and after the last: what is before it is known where a part
/// begins is searched from its start with each chunk that comes.
const BETWEEN: usize = 64 * 1024;

/// Files that are held in memory at once; further ones wait.
static FILES: Places = Places::new(16);

/// Bytes a second that a file must come or be taken at, after the first moments.
const FAIR_PACE: usize = 64 * 1024;

/// How long an upload may stand still: a file that does not come in holds up others.
const CHUNK_WAIT: Duration = Duration::from_secs(10);

/// A form that is being read.
pub(super) struct Form {
    parts: Multipart,
    /// Bytes that may still be read before the next file begins.
    between: Arc<AtomicUsize>,
    files: usize,
}

impl Form {
    /// The form that is this request's body.
    pub(super) async fn of(request: Request) -> Result<Self, ChatError> {
        let between = Arc::new(AtomicUsize::new(BETWEEN));
        let request = request.map(|body| bounded(body, Arc::clone(&between)));
        let parts = Multipart::from_request(request, &()).await.map_err(|_| {
            no_upload(format!("the body must be multipart/form-data with the field `{FIELD}`"))
        })?;
        Ok(Self { parts, between, files: 0 })
    }

    /// The next file, and its owner's place in memory: whoever has kept it lets that go.
    pub(super) async fn next_file(
        &mut self,
        owner: Owner,
    ) -> Result<Option<(Bytes, Place<'static>)>, ChatError> {
        self.between.store(BETWEEN, Ordering::Relaxed);
        loop {
            let next = timeout(CHUNK_WAIT, self.parts.next_field()).await;
            let part = match next.map_err(|_| halted())? {
                Ok(Some(part)) => part,
                Ok(None) => return Ok(None),
                Err(_) if self.between.load(Ordering::Relaxed) == 0 => {
                    let rule = format!("more than {BETWEEN} bytes stand between files");
                    return Err(no_upload(rule));
                }
                Err(error) => return Err(broken(error)),
            };
            if part.name() != Some(FIELD) {
                continue;
            }
            if self.files == MEDIA_MAX {
                return Err(no_upload(format!("at most {MEDIA_MAX} files at once")));
            }
            self.files += 1;
            let place = FILES.take(owner).await?;
            self.between.store(usize::MAX, Ordering::Relaxed);
            let content = place.unless_others_need_it(read(part)).await?;
            return Ok(Some((content, place)));
        }
    }
}

/// The body, chunk by chunk, each looked at before the next is taken; as long as it may go on.
fn bounded(body: Body, between: Arc<AtomicUsize>) -> Body {
    let (mut chunks, mut is_looked_at) = (body.into_data_stream(), true);
    Body::from_stream(stream::poll_fn(move |context| {
        if !std::mem::replace(&mut is_looked_at, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(chunk) = ready!(chunks.poll_next_unpin(context)) else { return Poll::Ready(None) };
        is_looked_at = false;
        let left = between.load(Ordering::Relaxed);
        Poll::Ready(Some(match chunk {
            Ok(_) if left == 0 => Err(axum::Error::new("nothing more is read")),
            Ok(chunk) => {
                between.store(left.saturating_sub(chunk.len()), Ordering::Relaxed);
                Ok(chunk)
            }
            Err(error) => Err(error),
        }))
    }))
}

/// Reads a file, which must come at a fair pace: others wait for its place.
async fn read(mut part: Field<'_>) -> Result<Bytes, ChatError> {
    let (mut content, began) = (BytesMut::new(), Instant::now());
    while let Some(chunk) = next_chunk(&mut part).await? {
        if began.elapsed() > fair_time(content.len() as u64) {
            return Err(no_upload("the upload is too slow"));
        }
        if content.len() + chunk.len() > FILE_MAX {
            return Err(too_large());
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content.freeze())
}

/// How long so many bytes may be on their way.
pub(super) fn fair_time(bytes: u64) -> Duration {
    CHUNK_WAIT + Duration::from_secs(bytes / FAIR_PACE as u64)
}

async fn next_chunk(part: &mut Field<'_>) -> Result<Option<Bytes>, ChatError> {
    let next = timeout(CHUNK_WAIT, part.chunk()).await;
    next.map_err(|_| halted())?.map_err(broken)
}

fn halted() -> ChatError {
    no_upload("the upload came to a halt")
}

fn too_large() -> ChatError {
    ChatError::new(Code::PayloadTooLarge, "a file has at most 10 MiB")
}

fn broken(error: MultipartError) -> ChatError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    no_upload("the multipart body is malformed, or broke off before its end")
}

#[cfg(test)]
mod tests;
