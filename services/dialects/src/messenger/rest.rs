//! 003's routes: accounts here, files in `rest/files.rs`. Next the `Chat` port.

mod answers;
mod files;
mod form;
mod places;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use chat_core::{Chat, Session, User};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use self::answers::{
    Account, Conflict, Done, Invalid, NewPassword, Refusal, Token, Unauthorized, parse_registration,
};
use crate::{
    address::Address,
    rest::{
        RestState,
        accounts::{Entry, Registration},
        answer::{self, Anytime, ErrorBody},
        body::{self, Body},
        cookie, credentials, door, mount,
    },
};

/// 003's routes.
pub(crate) fn routes(state: &RestState) -> OpenApiRouter<RestState> {
    let router = OpenApiRouter::new();
    let router = mount::exactly(router, routes!(register), answer::wrong_method);
    let router = mount::exactly(router, routes!(log_in), answer::wrong_method);
    let router = mount::exactly(router, routes!(delete_account), answer::wrong_method);
    let router = mount::exactly(router, routes!(change_password), answer::wrong_method);
    let upload = routes!(files::upload);
    let upload = upload.map(|methods| methods.layer(DefaultBodyLimit::max(files::UPLOAD_MAX)));
    let router = mount::exactly(router, upload, answer::wrong_method);
    let router = mount::exactly(router, routes!(files::serve), answer::wrong_method);
    let router = body::bound(router, body::ACCOUNT_MAX);
    mount::guarded(router, state, |_, _, error| Refusal::from(error.clone()).into_response())
}

/// Makes an account. It has to log in.
#[utoipa::path(
    post, path = "/api/auth/register", tag = "messenger", operation_id = "messenger_register",
    request_body = Registration,
    responses(
        (status = 201, body = Done, description = "made"),
        (status = 400, body = Invalid, description = "not a name, not a password, or no JSON object"),
        (status = 403, body = ErrorBody, description = "a page of another origin asks"),
        (status = 409, body = Conflict, description = "the name is taken, in whatever letter case"),
        (status = 413, body = ErrorBody, description = "the body is too large"),
        Anytime<ErrorBody>,
    ),
)]
async fn register(
    State(state): State<RestState>,
    from: Address,
    body: Body,
) -> Result<Response, Refusal> {
    let new = body.read(|body| parse_registration(body, &state.limits))?;
    let login = door::register(&state, from, new.username, Some(new.password)).await?;
    // This route hands out no session; one that nobody holds should not last.
    if let Err(refusal) = state.chat.end_session(login.session.id).await {
        tracing::debug!(%refusal, "the session of a registration will expire by itself");
    }
    Ok((StatusCode::CREATED, Json(Done::new("Created"))).into_response())
}

/// Logs in and answers a token.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "messenger", operation_id = "messenger_login",
    request_body = Entry,
    responses(
        (status = 200, body = Token, description = "logged in"),
        (status = 400, body = Invalid, description = "no JSON object, or a field is missing"),
        (status = 401, body = Unauthorized, description = "unknown user or wrong password: not told apart"),
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
    let entry = body.read(Entry::parse)?;
    Ok(Json(Token::from(&door::log_in(&state, from, entry).await?)))
}

/// Changes one's password. All other sessions end: their tokens, and their sockets everywhere.
#[utoipa::path(
    post, path = "/api/auth/password", tag = "messenger",
    operation_id = "messenger_change_password",
    request_body = NewPassword,
    responses(
        (status = 200, body = Done, description = "changed; the session that asked stays"),
        (status = 400, body = Invalid, description = "not a password, or no JSON object"),
        (status = 401, body = Unauthorized, description = "nobody is logged in, or `current` is wrong"),
        (status = 413, body = ErrorBody, description = "the body is too large"),
        Anytime<ErrorBody>,
    ),
    security(("bearer" = []), ("session" = [])),
)]
async fn change_password(
    State(state): State<RestState>,
    from: Address,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, Refusal> {
    let session = session(&*state.chat, &headers).await?;
    let NewPassword { current, new } = body.read(|body| NewPassword::parse(body, &state.limits))?;
    door::change_password(&state, from, &session, (current, new)).await?;
    Ok(Json(Done::new("Changed")))
}

/// Deletes an account for good: one's own by session or token, or the one whose name and password
/// are in the body. Everybody hears of it.
#[utoipa::path(
    delete, path = "/api/auth/account", tag = "messenger", operation_id = "messenger_delete_account",
    request_body = Option<Account>,
    responses(
        (status = 200, body = Done, description = "deleted",
         headers(("Set-Cookie" = String, description = "takes the cookie away"))),
        (status = 400, body = Invalid, description = "a body that is no JSON object, or half of one"),
        (status = 401, body = Unauthorized, description = "nobody is logged in, or a wrong password"),
        (status = 403, body = ErrorBody, description = "a page of another origin asks"),
        (status = 413, body = ErrorBody, description = "the body is too large"),
        Anytime<ErrorBody>,
    ),
    security((), ("bearer" = []), ("session" = [])),
)]
async fn delete_account(
    State(state): State<RestState>,
    from: Address,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let account = body.read_if_any(Account::parse)?.flatten();
    let user = match account {
        Some(entry) => door::log_in(&state, from, entry).await?.session.user,
        None => caller(&*state.chat, &headers).await?,
    };
    state.chat.delete_account(&user).await?;
    let mut response = Json(Done::new("Deleted")).into_response();
    cookie::clear(&mut response, &state);
    Ok(response)
}

/// Whose token or session it is.
async fn caller(chat: &dyn Chat, headers: &HeaderMap) -> chat_core::Result<User> {
    Ok(session(chat, headers).await?.user)
}

/// The token's session or the cookie's; the token counts first.
async fn session(chat: &dyn Chat, headers: &HeaderMap) -> chat_core::Result<Session> {
    let token = credentials::from_authorization(headers);
    let shown = token.or_else(|| credentials::from_cookie(headers));
    credentials::first_live(chat, shown).await
}
