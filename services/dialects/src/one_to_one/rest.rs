//! 002's accounts: register, log in, log out, by JSON or by the pages' forms; and the pages. Next
//! the `Chat` port and `Pages`.

mod account;
mod answers;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use chat_core::{Chat, ChatError, Code, Credential, Login};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    account::{Given, Way},
    answers::{Entered, Refusal, RefusalBody, Success},
};
use crate::{
    address::Address,
    rest::{
        RestState,
        accounts::{Entry, Registration},
        answer::Anytime,
        body, cookie, credentials, door, mount,
        pages::Form,
    },
};

/// 002's routes.
pub(crate) fn routes(state: &RestState) -> OpenApiRouter<RestState> {
    // The pages are for browsers and stand in no OpenAPI document.
    let prolong = from_fn_with_state(state.clone(), cookie::prolong);
    let chat = get(chat).layer(prolong).fallback(answers::wrong_method);
    let router = OpenApiRouter::new()
        .route("/", chat.clone())
        .route("/io", chat)
        .route(
            "/register",
            get(async |State(state): State<RestState>| form(&state, Form::Register)),
        )
        .route("/login", get(async |State(state): State<RestState>| form(&state, Form::LogIn)));
    let router = mount::exactly(router, routes!(register), answers::wrong_method);
    let router = mount::exactly(router, routes!(log_in), answers::wrong_method);
    let router = mount::exactly(router, routes!(log_out, log_out_by_get), answers::wrong_method);
    let router = body::bound(router, body::ACCOUNT_MAX);
    mount::guarded(router, state, account::turned_away)
}

fn form(state: &RestState, form: Form) -> Response {
    state.pages.form(form, "", None)
}

/// Makes an account and logs it in.
///
/// A URL-encoded form is answered for a browser: 303 to `/io`, or the form again with the reason.
#[utoipa::path(
    post, path = "/register", tag = "one-to-one", operation_id = "one_to_one_register",
    request_body = Registration,
    responses(
        (status = 200, body = Entered, description = "made and logged in",
         headers(("Set-Cookie" = String, description = "the session"))),
        (status = 400, body = RefusalBody, description = "not a name, not a password, or no JSON object"),
        (status = 403, body = RefusalBody, description = "a page of another origin asks"),
        (status = 409, body = RefusalBody, description = "the name is taken, in whatever letter case"),
        (status = 413, body = RefusalBody, description = "the body is too large"),
        (status = 415, body = RefusalBody, description = "a multipart form"),
        Anytime<RefusalBody>,
    ),
)]
async fn register(
    State(state): State<RestState>,
    from: Address,
    headers: HeaderMap,
    given: Given,
) -> Response {
    let (new, way) = given.open(|fields| Registration::parse(fields, &state.limits));
    match register_with(&state, from, new).await {
        Ok(login) => enter(&state, &headers, &way, &login).await,
        Err(error) => way.refused(error, Form::Register, &*state.pages),
    }
}

async fn register_with(
    state: &RestState,
    from: Address,
    new: chat_core::Result<Registration>,
) -> chat_core::Result<Login> {
    let new = new?;
    door::register(state, from, new.username, Some(new.password)).await
}

/// Logs in.
///
/// A URL-encoded form is answered for a browser: 303 to `/io`, or the form again with the reason.
#[utoipa::path(
    post, path = "/login", tag = "one-to-one", operation_id = "one_to_one_login",
    request_body = Entry,
    responses(
        (status = 200, body = Entered, description = "logged in",
         headers(("Set-Cookie" = String, description = "the session"))),
        (status = 400, body = RefusalBody, description = "no JSON object, or a field is missing"),
        (status = 401, body = RefusalBody, description = "unknown user or wrong password: not told apart"),
        (status = 403, body = RefusalBody, description = "a page of another origin asks"),
        (status = 413, body = RefusalBody, description = "the body is too large"),
        (status = 415, body = RefusalBody, description = "a multipart form"),
        Anytime<RefusalBody>,
    ),
)]
async fn log_in(
    State(state): State<RestState>,
    from: Address,
    headers: HeaderMap,
    given: Given,
) -> Response {
    let (entry, way) = given.open(Entry::parse);
    match log_in_with(&state, from, entry).await {
        Ok(login) => enter(&state, &headers, &way, &login).await,
        Err(error) => way.refused(error, Form::LogIn, &*state.pages),
    }
}

async fn log_in_with(
    state: &RestState,
    from: Address,
    entry: chat_core::Result<Entry>,
) -> chat_core::Result<Login> {
    door::log_in(state, from, entry?).await
}

/// Gives the browser its new session. The one whose cookie it replaces would be out of reach for
/// those who want to end it, so it ends.
async fn enter(state: &RestState, headers: &HeaderMap, way: &Way, login: &Login) -> Response {
    if let Some(replaced) = credentials::from_cookie(headers)
        && let Err(refusal) = end(&*state.chat, replaced).await
    {
        tracing::debug!(%refusal, "a session that was replaced will expire by itself");
    }
    let mut response = way.entered(Json(Entered::from(login)));
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
        (status = 403, body = RefusalBody, description = "a page of another origin asks"),
        Anytime<RefusalBody>,
    ),
    security((), ("session" = []), ("bearer" = [])),
)]
async fn log_out(State(state): State<RestState>, headers: HeaderMap) -> Result<Response, Refusal> {
    let cookie = credentials::from_cookie(&headers);
    for credential in cookie.into_iter().chain(credentials::from_authorization(&headers)) {
        end(&*state.chat, credential).await?;
    }
    let mut response = if account::is_form(&headers) {
        Redirect::to("/login").into_response()
    } else {
        Json(Success::new()).into_response()
    };
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

/// The same by a link. A browser that followed another site's is shown a page that asks.
#[utoipa::path(
    get, path = "/logout", tag = "one-to-one", operation_id = "one_to_one_logout_by_get",
    responses(
        (status = 200, body = Success, description = "ended",
         headers(("Set-Cookie" = String, description = "takes the cookie away"))),
        (status = 403, body = RefusalBody, description = "a page of another origin asks"),
        Anytime<RefusalBody>,
    ),
    security((), ("session" = []), ("bearer" = [])),
)]
async fn log_out_by_get(state: State<RestState>, headers: HeaderMap) -> Result<Response, Refusal> {
    if account::is_ahead(&headers) {
        let rule = "nobody has followed this link yet, so nobody is logged out";
        return Err(ChatError::new(Code::Forbidden, rule).into());
    }
    log_out(state, headers).await
}

/// The chat of those who are logged in; the others are sent to log in.
async fn chat(State(state): State<RestState>, headers: HeaderMap) -> Response {
    let shown = credentials::from_cookie(&headers);
    let offered = shown.into_iter().chain(credentials::from_authorization(&headers));
    match credentials::first_live(&*state.chat, offered).await {
        Ok(_) => state.pages.chat(),
        Err(error) if error.code().http() == 401 => Redirect::to("/login").into_response(),
        Err(error) => state.pages.failed(&error),
    }
}
