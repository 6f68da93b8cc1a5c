//! 004's routes: accounts, tokens and the list of rooms. Next the `Chat` port.

mod answers;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse as _,
};
use chat_core::{Chat, Credential, User};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::answers::{Identity, Token, TokenBody};
use super::wire::Room;
use crate::{
    address::Address,
    rest::{
        RestState,
        accounts::{Entry, Registration},
        answer::{self, Anytime, ErrorBody, Refusal},
        body::{self, Body},
        credentials, door, mount,
    },
};

/// The longest list of rooms.
const ROOMS_MAX: usize = 1_000;

/// How many of them are asked for at a time.
const ROOMS_PAGE: u32 = 500;

/// 004's routes.
pub(crate) fn routes(state: &RestState) -> OpenApiRouter<RestState> {
    let router = OpenApiRouter::new();
    let router = mount::exactly(router, routes!(register), answer::wrong_method);
    let router = mount::exactly(router, routes!(log_in), answer::wrong_method);
    let router = mount::exactly(router, routes!(verify, verify_body), answer::wrong_method);
    let router = mount::exactly(router, routes!(rooms), answer::wrong_method);
    let router = body::bound(router, body::ACCOUNT_MAX);
    mount::guarded(router, state, |_, _, error| Refusal::from(error.clone()).into_response())
}

/// Makes an account and answers a token for it.
#[utoipa::path(
    post, path = "/api/register", tag = "chatto", operation_id = "chatto_register",
    request_body = Registration,
    responses(
        (status = 201, body = Token, description = "made"),
        (status = 400, body = ErrorBody, description = "not a name, not a password, or no JSON object"),
        (status = 403, body = ErrorBody, description = "a page of another origin asks"),
        (status = 409, body = ErrorBody, description = "the name is taken, in whatever letter case"),
        (status = 413, body = ErrorBody, description = "the body is too large"),
        Anytime<ErrorBody>,
    ),
)]
async fn register(
    State(state): State<RestState>,
    from: Address,
    body: Body,
) -> Result<(StatusCode, Json<Token>), Refusal> {
    let new = body.read(|body| Registration::parse(body, &state.limits))?;
    let login = door::register(&state, from, new.username, Some(new.password)).await?;
    Ok((StatusCode::CREATED, Json(Token::from(&login))))
}

/// Logs in and answers a token.
#[utoipa::path(
    post, path = "/api/login", tag = "chatto", operation_id = "chatto_login",
    request_body = Entry,
    responses(
        (status = 200, body = Token, description = "logged in"),
        (status = 400, body = ErrorBody, description = "no JSON object, or a field is missing"),
        (status = 401, body = ErrorBody, description = "unknown user or wrong password: not told apart"),
        (status = 403, body = ErrorBody, description = "a page of another origin asks"),
        (status = 413, body = ErrorBody, description = "the body is too large"),
        Anytime<ErrorBody>,
    ),
)]
async fn log_in(
    State(state): State<RestState>,
    from: Address,
    body: Body,
) -> Result<Json<Token>, Refusal> {
    let login = door::log_in(&state, from, body.read(Entry::parse)?).await?;
    Ok(Json(Token::from(&login)))
}

/// Says whose token or session it is.
#[utoipa::path(
    get, path = "/api/verify", tag = "chatto", operation_id = "chatto_verify",
    responses(
        (status = 200, body = Identity, description = "alive"),
        (status = 401, body = ErrorBody, description = "none, or a dead one"),
        Anytime<ErrorBody>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
async fn verify(
    State(state): State<RestState>,
    headers: HeaderMap,
) -> Result<Json<Identity>, Refusal> {
    let user = identify(&*state.chat, None, &headers).await?;
    Ok(Json(Identity { username: user.name }))
}

/// Says whose token or session it is; the token may come in the body.
#[utoipa::path(
    post, path = "/api/verify", tag = "chatto", operation_id = "chatto_verify_body",
    request_body = Option<TokenBody>,
    responses(
        (status = 200, body = Identity, description = "alive"),
        (status = 400, body = ErrorBody, description = "a body that is no JSON object"),
        (status = 401, body = ErrorBody, description = "none, or a dead one"),
        (status = 403, body = ErrorBody, description = "a page of another origin asks"),
        (status = 413, body = ErrorBody, description = "the body is too large"),
        Anytime<ErrorBody>,
    ),
    security((), ("bearer" = []), ("session" = [])),
)]
async fn verify_body(
    State(state): State<RestState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Identity>, Refusal> {
    let body = body.read_if_any(TokenBody::parse)?;
    let token = body.and_then(|body| body.token).map(Credential::Token);
    let user = identify(&*state.chat, token, &headers).await?;
    Ok(Json(Identity { username: user.name }))
}

/// The most explicit credential that is given decides: body, header, cookie.
async fn identify(
    chat: &dyn Chat,
    token: Option<Credential>,
    headers: &HeaderMap,
) -> chat_core::Result<User> {
    let credential = token
        .or_else(|| credentials::from_authorization(headers))
        .or_else(|| credentials::from_cookie(headers));
    Ok(credentials::first_live(chat, credential).await?.user)
}

/// Lists the lobby and the rooms, newest activity first, at most 1,000. Needs a token or session
/// only where guests are turned off.
#[utoipa::path(
    get, path = "/api/rooms", tag = "chatto", operation_id = "chatto_rooms",
    responses(
        (status = 200, body = [Room], description = "the rooms"),
        (status = 401, body = ErrorBody, description = "guests are turned off, and nobody is logged in"),
        Anytime<ErrorBody>,
    ),
    security((), ("bearer" = []), ("session" = [])),
)]
async fn rooms(
    State(state): State<RestState>,
    headers: HeaderMap,
) -> Result<Json<Vec<Room>>, Refusal> {
    if !state.guests {
        identify(&*state.chat, None, &headers).await?;
    }
    let (mut rooms, mut after) = (Vec::new(), None);
    loop {
        let page = state.chat.rooms(after, ROOMS_PAGE).await?;
        rooms.extend(page.conversations.iter().map(Room::from));
        after = page.next;
        if after.is_none() || rooms.len() >= ROOMS_MAX {
            rooms.truncate(ROOMS_MAX);
            return Ok(Json(rooms));
        }
    }
}
