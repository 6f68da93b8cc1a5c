//! Hop 1 of 10, by REST instead of a socket: 000's routes. Next the `Chat` port, which
//! message-api's `chat/` implements. The answer comes back here and goes out as JSON.

mod answers;

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chat_core::{
    Caller, ChatError, Code, ConversationId, Message, Result, User, Username, Via, clock,
    model::{NewMessage, Seen, Span},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::answers::{Answer, Listed, Sentence, Submitted};
use super::wire::Submission;
use crate::{
    origin,
    rest::{
        RestState, answer::Anytime, body::Body, credentials, idempotency, mount, query::Params,
    },
};

/// 000's routes.
pub(crate) fn routes(state: &RestState) -> OpenApiRouter<RestState> {
    let router = OpenApiRouter::new();
    let router = mount::both_slashes(router, routes!(list, post), answers::wrong_method);
    let router = mount::both_slashes(router, routes!(edit), answers::wrong_method);
    mount::guarded(router, state, |_, request, error| answers::turned_away(request, error))
}

/// Lists the lobby's messages, oldest first, and tells how far one had read them.
#[utoipa::path(
    get, path = "/api/v1/messages", tag = "tinychat", operation_id = "tinychat_list",
    params(
        ("limit" = Option<u32>, Query, minimum = 1,
         description = "how many of the newest; as many as the setting LOBBY_MAX says (1,000) if absent, and at most"),
        ("before" = Option<u64>, Query, description = "only those before the message of this id"),
    ),
    responses(
        (status = 200, body = Answer<Listed<'_>>, description = "the messages"),
        (status = 400, body = Answer<String>, description = "`limit` or `before` is no such thing"),
        (status = 401, body = Answer<String>, description = "no session, where guests are turned off"),
        Anytime<Answer<String>>,
    ),
    security((), ("session" = []), ("bearer" = [])),
)]
async fn list(State(state): State<RestState>, headers: HeaderMap, params: Params) -> Response {
    match read(&state, &headers, params).await {
        Ok((messages, last_seen)) => Json(Answer::listed(&messages, last_seen)).into_response(),
        Err(error) => answers::not_retrieved(&error),
    }
}

async fn read(
    state: &RestState,
    headers: &HeaderMap,
    mut params: Params,
) -> Result<(Vec<Message>, i64)> {
    let limit = params.count("limit", state.lobby_max, state.lobby_max)?;
    let span = params.before()?.map_or(Span::Newest, Span::Before);
    let reader = match user(state, headers).await? {
        Some(user) => Caller::User(user),
        None if state.guests => Caller::Guest(Username::parse("anonymous")?),
        None => return Err(ChatError::unauthorised()),
    };
    let chat = &*state.chat;
    let page = chat.history(&reader, ConversationId::LOBBY, span, limit).await?;
    // A page of another site can have this asked, and has not shown the visitor anything of it.
    let is_seen = origin::is_allowed(headers, &state.origins);
    let newest = page.messages.last().filter(|_| is_seen).map(|last| Seen::Message(last.id));
    let mark = chat.mark_seen(&reader, ConversationId::LOBBY, newest).await?;
    let last_seen = mark.or(page.newest_at);
    Ok((page.messages, last_seen.map_or(0, clock::millis)))
}

/// Stores a message of the lobby. The other protocols' sockets hear of it; 000's clients relay it
/// to each other themselves.
#[utoipa::path(
    post, path = "/api/v1/messages", tag = "tinychat", operation_id = "tinychat_post",
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 64,
         description = "the same author and key again store nothing"),
    ),
    request_body = Submitted,
    responses(
        (status = 200, body = Answer<String>, description = "stored"),
        (status = 400, body = Answer<String>, description = "bad input, or an author who is somebody else"),
        (status = 403, body = Answer<String>, description = "a page of another origin asks"),
        Anytime<Answer<String>>,
    ),
    security((), ("session" = []), ("bearer" = [])),
)]
async fn post(State(state): State<RestState>, headers: HeaderMap, body: Body) -> Response {
    match store(&state, &headers, body).await {
        Ok(_) => Json(Answer::sentence(Sentence::Received)).into_response(),
        Err(error) => answers::not_sent(&error),
    }
}

async fn store(state: &RestState, headers: &HeaderMap, body: Body) -> Result<Message> {
    let submission = body.read(|body| Submission::parse(body, &state.limits))?;
    let client_id = idempotency::key(headers)?;
    let user = user(state, headers).await?;
    let author = submission.caller(&*state.chat, user.as_ref()).await?;
    let new = NewMessage {
        conversation: ConversationId::LOBBY,
        text: submission.content,
        media: Vec::new(),
        client_id,
        via: Via::Tinychat,
    };
    state.chat.post(&author, new, None).await
}

/// Changes the text of one's own message; `last_edited` tells it from then on.
#[utoipa::path(
    patch, path = "/api/v1/messages/{id}", tag = "tinychat", operation_id = "tinychat_edit",
    params(("id" = u64, Path, description = "the message")),
    request_body = Submitted,
    responses(
        (status = 200, body = Answer<String>, description = "changed"),
        (status = 400, body = Answer<String>, description = "bad input"),
        (status = 401, body = Answer<String>, description = "no session, or a dead one"),
        (status = 403, body = Answer<String>, description = "somebody else's message, or name; a page of another origin asks"),
        (status = 404, body = Answer<String>, description = "the lobby has no such message"),
        (status = 413, body = Answer<String>, description = "the body is too large"),
        Anytime<Answer<String>>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn edit(
    State(state): State<RestState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match change(&state, &id, &headers, body).await {
        Ok(_) => Json(Answer::sentence(Sentence::Received)).into_response(),
        Err(error) => answers::not_done(&error),
    }
}

async fn change(state: &RestState, id: &str, headers: &HeaderMap, body: Body) -> Result<Message> {
    let user = user(state, headers).await?.ok_or_else(ChatError::unauthorised)?;
    let submission = body.read(|body| Submission::parse(body, &state.limits))?;
    let author = submission.caller(&*state.chat, Some(&user)).await?;
    let message = state.chat.message(&author, id.parse()?).await?;
    if message.conversation != ConversationId::LOBBY {
        return Err(ChatError::new(Code::NotFound, "the lobby has no such message"));
    }
    state.chat.edit(&author, message.id, submission.content).await
}

/// Whose session or token it is. A dead one counts as none: 000's clients know no sessions, and
/// what is left of another client's must not lock them out. A guest can't pose as a user anyway.
async fn user(state: &RestState, headers: &HeaderMap) -> Result<Option<User>> {
    let cookie = credentials::from_cookie(headers);
    let offered = cookie.into_iter().chain(credentials::from_authorization(headers));
    match credentials::first_live(&*state.chat, offered).await {
        Ok(session) => Ok(Some(session.user)),
        Err(error) if error.code().http() == 401 => Ok(None),
        Err(error) => Err(error),
    }
}
