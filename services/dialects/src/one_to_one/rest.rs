//! 002's accounts, in their JSON form: register, log in, log out. Next the `Chat` port.

mod answers;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chat_core::{Chat, Credential, Login};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::answers::{Entered, JsonOnly, Refusal, RefusalBody, Success};
use crate::rest::{
    RestState,
    accounts::{Entry, Registration},
    answer::Anytime,
    body::Body,
    cookie, credentials, mount,
};

/// 002's routes.
pub(crate) fn routes() -> OpenApiRouter<RestState> {
    let router = OpenApiRouter::new();
    let router = mount::exactly(router, routes!(register), answers::wrong_method);
    let router = mount::exactly(router, routes!(log_in), answers::wrong_method);
    mount::exactly(router, routes!(log_out, log_out_by_get), answers::wrong_method)
}

/// Makes an account and logs it in.
#[utoipa::path(
    post, path = "/register", tag = "one-to-one", operation_id = "one_to_one_register",
    request_body = Registration,
    responses(
        (status = 200, body = Entered, description = "made and logged in",
         headers(("Set-Cookie" = String, description = "the session"))),
        (status = 400, body = RefusalBody, description = "not a name, not a password, or no JSON object"),
        (status = 409, body = RefusalBody, description = "the name is taken, in whatever letter case"),
        (status = 413, body = RefusalBody, description = "the body is too large"),
        (status = 415, body = RefusalBody, description = "a form instead of JSON"),
        Anytime<RefusalBody>,
    ),
)]
async fn register(
    State(state): State<RestState>,
    _: JsonOnly,
    body: Body,
) -> Result<Response, Refusal> {
    let new = Registration::parse(&body.json()?, &state.limits)?;
    let login = state.chat.register(new.username, Some(new.password)).await?;
    Ok(entered(&login, &state))
}

/// Logs in.
#[utoipa::path(
    post, path = "/login", tag = "one-to-one", operation_id = "one_to_one_login",
    request_body = Entry,
    responses(
        (status = 200, body = Entered, description = "logged in",
         headers(("Set-Cookie" = String, description = "the session"))),
        (status = 400, body = RefusalBody, description = "no JSON object, or a field is missing"),
        (status = 401, body = RefusalBody, description = "unknown user or wrong password: not told apart"),
        (status = 413, body = RefusalBody, description = "the body is too large"),
        (status = 415, body = RefusalBody, description = "a form instead of JSON"),
        Anytime<RefusalBody>,
    ),
)]
async fn log_in(
    State(state): State<RestState>,
    _: JsonOnly,
    body: Body,
) -> Result<Response, Refusal> {
    let Entry { username, password } = Entry::parse(&body.json()?)?;
    let login = state.chat.log_in(username, password).await?;
    Ok(entered(&login, &state))
}

fn entered(login: &Login, state: &RestState) -> Response {
    let mut response = Json(Entered::from(login)).into_response();
    cookie::give(&mut response, &login.secret, state);
    response
}

/// Ends the session: its tokens, and its sockets everywhere. Without a session there is nothing to
/// end, and that is fine.
#[utoipa::path(
    post, path = "/logout", tag = "one-to-one", operation_id = "one_to_one_logout",
    responses(
        (status = 200, body = Success, description = "ended",
         headers(("Set-Cookie" = String, description = "takes the cookie away"))),
        Anytime<RefusalBody>,
    ),
    security((), ("session" = []), ("bearer" = [])),
)]
async fn log_out(State(state): State<RestState>, headers: HeaderMap) -> Result<Response, Refusal> {
    let cookie = credentials::from_cookie(&headers);
    for credential in cookie.into_iter().chain(credentials::from_authorization(&headers)) {
        end(&*state.chat, credential).await?;
    }
    let mut response = Json(Success::new()).into_response();
    cookie::clear(&mut response, &state);
    Ok(response)
}

async fn end(chat: &dyn Chat, credential: Credential) -> chat_core::Result<()> {
    match chat.authenticate(credential).await {
        Ok(session) => chat.end_session(session.id).await,
        Err(error) if error.code().http() == 401 => Ok(()),
        Err(error) => Err(error),
    }
}

/// The same by a link.
#[utoipa::path(
    get, path = "/logout", tag = "one-to-one", operation_id = "one_to_one_logout_by_get",
    responses(
        (status = 200, body = Success, description = "ended",
         headers(("Set-Cookie" = String, description = "takes the cookie away"))),
        Anytime<RefusalBody>,
    ),
    security((), ("session" = []), ("bearer" = [])),
)]
async fn log_out_by_get(state: State<RestState>, headers: HeaderMap) -> Result<Response, Refusal> {
    log_out(state, headers).await
}
