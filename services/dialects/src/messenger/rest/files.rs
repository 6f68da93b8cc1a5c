//! Files: taken part by part, served so that no browser runs what is in them. Next the `Media` port.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    Json,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use chat_core::{
    Caller, ChatError, UserId,
    media::{FILE_MAX, Stored},
    model::MEDIA_MAX,
};
use futures_util::{Stream, StreamExt as _, stream::BoxStream};

use super::{
    answers::{Invalid, Refusal, Unauthorized, Uploaded, no_upload},
    caller,
    form::{Form, fair_time},
    places::{Owner, Place},
};
use crate::{
    address::Address,
    rest::{
        RestState,
        answer::{Anytime, ErrorBody},
    },
};

/// The largest body of an upload: its files, and what stands between them.
pub(super) const UPLOAD_MAX: usize = MEDIA_MAX * FILE_MAX + 64 * 1024;

/// Uploads of one user at once.
const UPLOADS_EACH: usize = 4;

/// `files` of an upload.
#[derive(utoipa::ToSchema)]
#[schema(as = messenger::Upload)]
#[expect(dead_code, reason = "it exists for the OpenAPI document")]
pub(super) struct Upload {
    /// At most 4 files of at most 10 MiB: images, videos, audio. What they are is read from their
    /// content; names and types that come with them do not count.
    #[schema(value_type = Vec<String>, format = Binary, max_items = 4)]
    files: Vec<Vec<u8>>,
}

/// Keeps files, whose URLs then go into `send-message`.
#[utoipa::path(
    post, path = "/api/upload/files", tag = "messenger", operation_id = "messenger_upload",
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = Uploaded, description = "kept"),
        (status = 400, body = Invalid, description = "no multipart body, no files in it, or too many"),
        (status = 401, body = Unauthorized, description = "no token or session, or a dead one"),
        (status = 403, body = ErrorBody, description = "a page of another origin asks"),
        (status = 413, body = ErrorBody, description = "a file is too large, an image is when decoded, or its user has no room for it"),
        (status = 415, body = ErrorBody, description = "a file is of a kind that is not taken, or an image hides its size"),
        Anytime<ErrorBody>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
pub(super) async fn upload(
    State(state): State<RestState>,
    headers: HeaderMap,
    from: Address,
    request: Request,
) -> Result<Json<Uploaded>, Refusal> {
    let who = Caller::User(caller(&*state.chat, &headers).await?);
    let mut form = Form::of(request).await?;
    let mut urls = Vec::new();
    let turn = Arc::new(Turn::of(&who)?);
    let owner = Owner { user: turn.0, from };
    while let Some((content, place)) = form.next_file(owner).await? {
        let content = Held { content, _place: place, _turn: Arc::clone(&turn) };
        urls.push(state.media.put(&who, Bytes::from_owner(content)).await?);
    }
    if urls.is_empty() {
        return Err(no_upload("there is no file in the field `files`").into());
    }
    Ok(Json(Uploaded::new(urls)))
}

/// A file in memory, and what it counts as for as long as it is there: a client that hangs up leaves
/// it to be stored.
struct Held {
    content: Bytes,
    _place: Place<'static>,
    _turn: Arc<Turn>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// A user's turn to upload: so many at once.
struct Turn(UserId);

/// Uploads of each user that are under way.
static TURNS: Mutex<BTreeMap<UserId, usize>> = Mutex::new(BTreeMap::new());

impl Turn {
    fn of(who: &Caller) -> Result<Self, ChatError> {
        let user = who.user().ok_or_else(ChatError::unauthorised)?.id;
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(user).or_default();
        if *turn == UPLOADS_EACH {
            let rule = format!("at most {UPLOADS_EACH} uploads of one user at once");
            return Err(ChatError::too_many_at_once(rule));
        }
        *turn += 1;
        Ok(Self(user))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get_mut(&self.0) {
            *turn -= 1;
            if *turn == 0 {
                turns.remove(&self.0);
            }
        }
    }
}

/// The same bytes, for as long as they are taken at a fair pace: who takes one now and then would
/// keep the file open for ever.
fn at_fair_pace(
    content: BoxStream<'static, chat_core::Result<Bytes>>,
    size: u64,
) -> impl Stream<Item = chat_core::Result<Bytes>> {
    let began = Instant::now();
    content.map(move |part| match began.elapsed() > fair_time(size) {
        true => Err(ChatError::invalid_payload("the download is too slow")),
        false => part,
    })
}

/// Serves a file. Who knows its URL may have it.
#[utoipa::path(
    get, path = "/media/{id}", tag = "messenger", operation_id = "messenger_media",
    params(("id" = String, Path, description = "the last part of the URL that an upload returned")),
    responses(
        (status = 200, description = "the file",
         body = Vec<u8>, content_type = "application/octet-stream",
         headers(("Content-Type" = String, description = "as its content told when it came"))),
        (status = 404, body = ErrorBody, description = "there is no such file"),
        Anytime<ErrorBody>,
    ),
)]
pub(super) async fn serve(
    State(state): State<RestState>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let Stored { content_type, size, content } = state.media.get(&id).await?;
    let mut response = Response::new(Body::from_stream(at_fair_pace(content, size)));
    let name = format!("inline; filename=\"{id}{}\"", extension(&content_type));
    for (header, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, name),
    ] {
        let value = HeaderValue::try_from(value)
            .map_err(|cause| ChatError::internal("a header of a file", cause))?;
        response.headers_mut().insert(header, value);
    }
    response.headers_mut().extend(
        SAFELY
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
    );
    Ok(response)
}

/// A file never changes, but may be removed, and must leave caches soon then. Whatever it is, it is
/// shown and nothing in it runs.
const SAFELY: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "sandbox; default-src 'none'"),
    ("cache-control", "public, max-age=86400, immutable"),
    ("accept-ranges", "none"),
    // As whoever has the URL may have the file, pages of other origins may show it.
    ("cross-origin-resource-policy", "cross-origin"),
];

/// The end of the name under which a browser saves a file.
fn extension(content_type: &str) -> &'static str {
    match content_type {
        "image/png" => ".png",
        "image/jpeg" => ".jpg",
        "image/gif" => ".gif",
        "image/webp" => ".webp",
        "image/avif" => ".avif",
        "image/bmp" => ".bmp",
        "video/mp4" => ".mp4",
        "video/webm" => ".webm",
        "video/quicktime" => ".mov",
        "audio/mpeg" => ".mp3",
        "audio/ogg" => ".ogg",
        "audio/wav" => ".wav",
        "audio/mp4" => ".m4a",
        "audio/flac" => ".flac",
        "audio/aac" => ".aac",
        _ => "",
    }
}
