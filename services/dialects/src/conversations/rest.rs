//! Hop 1 of 10, by REST instead of a socket: 001's routes. Next the `Chat` port, which
//! message-api's `chat/` implements. The answer comes back here and goes out as JSON.

mod answers;
mod extract;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
};
use chat_core::{
    Code, Via,
    chat::HISTORY_MAX,
    model::{NewMessage, Span},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    answers::{Created, History, Listed, Newcomer, Posted, Refusal, RefusalBody, Success, Topic},
    extract::{AtMessage, InConversation, Member},
};
use super::wire::{MessageRow, NewText};
use crate::{
    address::Address,
    rest::{
        RestState,
        answer::Anytime,
        body::{self, Body},
        cookie, door, idempotency, mount,
        query::Params,
    },
};

/// How many conversations a list has, unless `limit` says otherwise, and at most.
const LIST: (u32, u32) = (100, 1_000);

/// How many messages a history has, unless `N` says otherwise.
const RECENT: u32 = 10;

/// 001's routes, each with and without a slash at its end.
pub(crate) fn routes(state: &RestState) -> OpenApiRouter<RestState> {
    let router = OpenApiRouter::new();
    let router = mount::both_slashes(router, routes!(list, create), answers::wrong_method);
    let router = mount::both_slashes(router, routes!(recent, post), answers::wrong_method);
    let router = mount::both_slashes(router, routes!(detail, edit, delete), answers::wrong_method);
    let router = router.layer(from_fn_with_state(state.clone(), cookie::prolong));
    let accounts =
        mount::both_slashes(OpenApiRouter::new(), routes!(register), answers::wrong_method);
    let router = router.merge(body::bound(accounts, body::ACCOUNT_MAX));
    // Deeper paths are answered in 001's words as well.
    let router = router.route(
        "/api/conversations/{id}/{messageid}/{*deeper}",
        axum::routing::any(answers::unknown_route),
    );
    mount::guarded(router, state, |_, _, error| Refusal::from(error.clone()).into_response())
}

/// Registers a user name and logs it in.
///
/// A name that is taken is told by the `status` field of a 200 answer, without a cookie. An
/// account without a password can't be logged in to again.
#[utoipa::path(
    post, path = "/auth/register", tag = "conversations", operation_id = "conversations_register",
    request_body = Newcomer,
    responses(
        (status = 200, body = Success, description = "`success`, or `username taken`",
         headers(("Set-Cookie" = String, description = "the session, on success only"))),
        (status = 400, body = RefusalBody, description = "`invalid username` or `bad request`"),
        (status = 403, body = RefusalBody, description = "a page of another origin asks"),
        (status = 413, body = RefusalBody, description = "the body is too large"),
        Anytime<RefusalBody>,
    ),
)]
async fn register(
    State(state): State<RestState>,
    from: Address,
    body: Body,
) -> Result<Response, Refusal> {
    let newcomer = body.read(|body| Newcomer::parse(body, &state.limits))?;
    match door::register(&state, from, newcomer.username, newcomer.password).await {
        Ok(login) => {
            let mut response = Json(Success::new()).into_response();
            cookie::give(&mut response, &login.secret, &state);
            Ok(response)
        }
        // Published clients look at the status field of a 200 answer only.
        Err(error) if error.code() == Code::UsernameTaken => {
            Ok(Json(RefusalBody::of(&error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Lists the lobby and the rooms, newest activity first.
#[utoipa::path(
    get, path = "/api/conversations/", tag = "conversations",
    operation_id = "conversations_list",
    params(
        ("limit" = Option<u32>, Query, minimum = 1,
         description = "how many; 100 if absent, more than 1,000 is 1,000"),
        ("after" = Option<String>, Query, description = "a former answer's `next`"),
    ),
    responses(
        (status = 200, body = Listed, description = "a page"),
        (status = 400, body = RefusalBody, description = "`limit` or `after` is no such thing"),
        (status = 401, body = RefusalBody, description = "no session, or a dead one"),
        Anytime<RefusalBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn list(
    State(state): State<RestState>,
    _: Member,
    mut params: Params,
) -> Result<Json<Listed>, Refusal> {
    let limit = params.count("limit", LIST.0, LIST.1)?;
    let page = state.chat.rooms(params.take("after"), limit).await?;
    Ok(Json(page.into()))
}

/// Makes a conversation.
#[utoipa::path(
    post, path = "/api/conversations/", tag = "conversations",
    operation_id = "conversations_create",
    request_body = Topic,
    responses(
        (status = 200, body = Created, description = "made"),
        (status = 400, body = RefusalBody, description = "not a title"),
        (status = 401, body = RefusalBody, description = "no session, or a dead one"),
        (status = 403, body = RefusalBody, description = "a page of another origin asks"),
        (status = 409, body = RefusalBody, description = "`title taken`, in whatever letter case"),
        (status = 413, body = RefusalBody, description = "the body is too large"),
        Anytime<RefusalBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn create(
    State(state): State<RestState>,
    Member(caller): Member,
    body: Body,
) -> Result<Json<Created>, Refusal> {
    let topic = body.read(Topic::parse)?;
    let room = state.chat.create_room(&caller, topic.title).await?;
    Ok(Json(Created::from(&room)))
}

/// Lists a conversation's newest messages, or the newest of those before one, oldest first.
#[utoipa::path(
    get, path = "/api/conversations/{id}", tag = "conversations",
    operation_id = "conversations_recent",
    params(
        ("id" = String, Path, description = "the conversation"),
        ("N" = Option<u32>, Query, minimum = 1,
         description = "how many; 10 if absent, more than 1,000 is 1,000"),
        ("before" = Option<String>, Query, description = "only those before the message of this id"),
    ),
    responses(
        (status = 200, body = History<'_>, description = "the messages"),
        (status = 400, body = RefusalBody, description = "`N` is not a positive whole number, `before` no message's id"),
        (status = 401, body = RefusalBody, description = "no session, or a dead one"),
        (status = 404, body = RefusalBody, description = "no such conversation, or no such message in it"),
        Anytime<RefusalBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn recent(
    State(state): State<RestState>,
    Member(caller): Member,
    InConversation(id): InConversation,
    mut params: Params,
) -> Result<Response, Refusal> {
    let count = params.count("N", RECENT, HISTORY_MAX)?;
    let span = params.before()?.map_or(Span::Newest, Span::Before);
    let history = state.chat.history(&caller, id, span, count).await?;
    Ok(Json(History::from(&*history.messages)).into_response())
}

/// Posts a message. It is durable when this answers, and live sockets of every protocol get it.
#[utoipa::path(
    post, path = "/api/conversations/{id}", tag = "conversations",
    operation_id = "conversations_post",
    params(
        ("id" = String, Path, description = "the conversation"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 64,
         description = "the same as `clientId`, which counts if both are there"),
    ),
    request_body = NewText,
    responses(
        (status = 200, body = Posted, description = "stored"),
        (status = 400, body = RefusalBody, description = "not a text, or a bad key"),
        (status = 401, body = RefusalBody, description = "no session, or a dead one"),
        (status = 403, body = RefusalBody, description = "a page of another origin asks"),
        (status = 404, body = RefusalBody, description = "no such conversation"),
        (status = 413, body = RefusalBody, description = "the body is too large"),
        Anytime<RefusalBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn post(
    State(state): State<RestState>,
    Member(caller): Member,
    InConversation(conversation): InConversation,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Posted>, Refusal> {
    let NewText { text, client_id } =
        body.read(|body| NewText::parse(body, caller.name(), &state.limits))?;
    let client_id = match client_id {
        None => idempotency::key(&headers)?,
        given => given,
    };
    let new =
        NewMessage { conversation, text, media: Vec::new(), client_id, via: Via::Conversations };
    let message = state.chat.post(&caller, new, None).await?;
    Ok(Json(Posted::from(&message)))
}

/// Shows one message.
#[utoipa::path(
    get, path = "/api/conversations/{id}/{messageid}", tag = "conversations",
    operation_id = "conversations_detail",
    params(
        ("id" = String, Path, description = "the conversation"),
        ("messageid" = String, Path, description = "the message"),
    ),
    responses(
        (status = 200, body = MessageRow<'_>, description = "the message"),
        (status = 401, body = RefusalBody, description = "no session, or a dead one"),
        (status = 404, body = RefusalBody, description = "no such conversation, or no such message in it"),
        Anytime<RefusalBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn detail(
    State(state): State<RestState>,
    Member(caller): Member,
    place: AtMessage,
) -> Result<Response, Refusal> {
    let message = place.find(&*state.chat, &caller).await?;
    Ok(Json(MessageRow::from(&message)).into_response())
}

/// Changes the text of one's own message. Live sockets of every protocol but 000 and 002 hear it.
#[utoipa::path(
    patch, path = "/api/conversations/{id}/{messageid}", tag = "conversations",
    operation_id = "conversations_edit",
    params(
        ("id" = String, Path, description = "the conversation"),
        ("messageid" = String, Path, description = "the message"),
    ),
    request_body = NewText,
    responses(
        (status = 200, body = Posted, description = "changed"),
        (status = 400, body = RefusalBody, description = "not a text"),
        (status = 401, body = RefusalBody, description = "no session, or a dead one"),
        (status = 403, body = RefusalBody, description = "somebody else's message, or a page of another origin asks: `unauthorised`"),
        (status = 404, body = RefusalBody, description = "no such conversation, or no such message in it"),
        (status = 413, body = RefusalBody, description = "the body is too large"),
        Anytime<RefusalBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn edit(
    State(state): State<RestState>,
    Member(caller): Member,
    place: AtMessage,
    body: Body,
) -> Result<Json<Posted>, Refusal> {
    let NewText { text, .. } =
        body.read(|body| NewText::parse(body, caller.name(), &state.limits))?;
    let message = place.find(&*state.chat, &caller).await?;
    let message = state.chat.edit(&caller, message.id, text).await?;
    Ok(Json(Posted::from(&message)))
}

/// Deletes one's own message, for everybody.
#[utoipa::path(
    delete, path = "/api/conversations/{id}/{messageid}", tag = "conversations",
    operation_id = "conversations_delete",
    params(
        ("id" = String, Path, description = "the conversation"),
        ("messageid" = String, Path, description = "the message"),
    ),
    responses(
        (status = 200, body = Success, description = "deleted"),
        (status = 401, body = RefusalBody, description = "no session, or a dead one"),
        (status = 403, body = RefusalBody, description = "somebody else's message, or a page of another origin asks: `unauthorised`"),
        (status = 404, body = RefusalBody, description = "no such conversation, or no such message in it"),
        Anytime<RefusalBody>,
    ),
    security(("session" = []), ("bearer" = [])),
)]
async fn delete(
    State(state): State<RestState>,
    Member(caller): Member,
    place: AtMessage,
) -> Result<Json<Success>, Refusal> {
    let message = place.find(&*state.chat, &caller).await?;
    state.chat.delete(&caller, message.id).await?;
    Ok(Json(Success::new()))
}
