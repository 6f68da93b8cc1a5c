//! The inbox's routes. Next the `Chat` port, which message-api's `chat/reads.rs` implements.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
};
use chat_core::{clock, inbox::ROWS_MAX, model};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::wire::{Inbox, Seen, Success};
use crate::rest::{
    RestState,
    answer::{self, Anytime, ErrorBody, Refusal},
    body::Body,
    cookie, credentials, mount,
    query::Params,
};

/// How many rooms are listed, unless `rooms` says otherwise.
const ROOMS: u32 = 100;

/// The inbox's routes.
pub(crate) fn routes(state: &RestState) -> OpenApiRouter<RestState> {
    let router = OpenApiRouter::new();
    let router = mount::exactly(router, routes!(list), answer::wrong_method);
    let router = mount::exactly(router, routes!(see), answer::wrong_method);
    let router = router.layer(from_fn_with_state(state.clone(), cookie::prolong));
    mount::guarded(router, state, |_, _, error| Refusal::from(error.clone()).into_response())
}

/// Lists one's rooms and directs with what is unread and what was said last, as of one moment.
#[utoipa::path(
    get, path = "/api/inbox", tag = "inbox", operation_id = "inbox_list",
    params(
        ("rooms" = Option<u32>, Query, minimum = 1,
         description = "how many rooms; 100 if absent, more than 200 is 200"),
        ("directs" = Option<u32>, Query, minimum = 1,
         description = "how many directs; 200 if absent, and at most"),
    ),
    responses(
        (status = 200, body = Inbox<'_>, description = "the inbox"),
        (status = 400, body = ErrorBody, description = "`rooms` or `directs` is not a positive whole number"),
        (status = 401, body = ErrorBody, description = "no session, or a dead one"),
        Anytime<ErrorBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn list(
    State(state): State<RestState>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Refusal> {
    let reader = credentials::member(&*state.chat, &headers).await?;
    let rooms = params.count("rooms", ROOMS, ROWS_MAX)?;
    let directs = params.count("directs", ROWS_MAX, ROWS_MAX)?;
    let inbox = state.chat.inbox(&reader, rooms, directs).await?;
    Ok(Json(Inbox::of(&inbox, &reader, &state.limits)?).into_response())
}

/// Remembers that the lobby or a room was seen up to a message. This only ever moves forward.
#[utoipa::path(
    post, path = "/api/inbox/{id}/seen", tag = "inbox", operation_id = "inbox_seen",
    params(("id" = String, Path, description = "the lobby or a room")),
    request_body = Seen,
    responses(
        (status = 200, body = Success, description = "remembered, or known already"),
        (status = 400, body = ErrorBody, description = "no message's id; a direct, whose messages are read one by one"),
        (status = 401, body = ErrorBody, description = "no session, or a dead one"),
        (status = 403, body = ErrorBody, description = "a page of another origin asks"),
        (status = 404, body = ErrorBody, description = "no such conversation, or no such message in it"),
        (status = 413, body = ErrorBody, description = "the body is too large"),
        Anytime<ErrorBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn see(
    State(state): State<RestState>,
    headers: HeaderMap,
    Path(conversation): Path<String>,
    body: Body,
) -> Result<Json<Success>, Refusal> {
    let reader = credentials::member(&*state.chat, &headers).await?;
    let conversation = conversation.parse()?;
    let Seen { id } = body.read(Seen::parse)?;
    let seen = id.map_or_else(|| model::Seen::At(clock::now()), model::Seen::Message);
    state.chat.mark_seen(&reader, conversation, Some(seen)).await?;
    Ok(Json(Success::new()))
}
