//! Requests that a page of another origin makes in the visitor's name, and that change something,
//! are refused, in the words of the dialect whose route it is. That includes logging the visitor in
//! as somebody else, for which no cookie has to come along.

use axum::{
    extract::{Request, State},
    http::header::HOST,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use chat_core::{ChatError, Code};
use utoipa_axum::router::OpenApiRouter;

use super::{RestState, credentials, mount::Phrase};
use crate::origin;

/// A dialect's routes, closed to other origins' pages.
pub(super) fn keep_out(
    routes: OpenApiRouter<RestState>,
    state: &RestState,
    phrase: Phrase,
) -> OpenApiRouter<RestState> {
    routes.layer(from_fn_with_state((state.clone(), phrase), refuse))
}

async fn refuse(
    State((state, phrase)): State<(RestState, Phrase)>,
    mut request: Request,
    next: Next,
) -> Response {
    name_host(&mut request);
    // A browser lets a page of another origin show a token only where CORS allowed that, and adds
    // none by itself.
    if !changes(&request) || credentials::is_bearer(request.headers()) {
        return next.run(request).await;
    }
    if origin::is_allowed(request.headers(), &state.origins) {
        return next.run(request).await;
    }
    let error = ChatError::new(Code::Forbidden, "pages of other sites may not do this");
    phrase(&state, &request, &error)
}

/// Reading changes nothing, but for the one link that logs out.
fn changes(request: &Request) -> bool {
    !request.method().is_safe() || request.uri().path() == "/logout"
}

/// HTTP/2 has the host in its address.
fn name_host(request: &mut Request) {
    let authority = request.uri().authority().map(|authority| authority.as_str().parse());
    if let Some(Ok(host)) = authority {
        request.headers_mut().entry(HOST).or_insert(host);
    }
}
