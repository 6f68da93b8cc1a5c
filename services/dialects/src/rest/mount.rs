//! Mounting what `routes!` collected, so that every answer on a dialect's paths is in its words.

use axum::{extract::Request, handler::Handler, response::Response};
use chat_core::ChatError;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _};

use super::{RestState, budget, foreign};

/// Phrases the refusal of this request.
pub(crate) type Phrase = fn(&RestState, &Request, &ChatError) -> Response;

/// A dialect's routes, closed to pages of other origins and to who asks for too much.
pub(crate) fn guarded(
    routes: OpenApiRouter<RestState>,
    state: &RestState,
    phrase: Phrase,
) -> OpenApiRouter<RestState> {
    foreign::keep_out(budget::within(routes, state, phrase), state, phrase)
}

/// Mounts the documented path; `wrong_method` answers the methods that it does not take.
pub(crate) fn exactly<H, T>(
    router: OpenApiRouter<RestState>,
    routes: UtoipaMethodRouter<RestState>,
    wrong_method: H,
) -> OpenApiRouter<RestState>
where
    H: Handler<T, RestState>,
    T: 'static,
{
    router.routes(routes.map(|methods| methods.fallback(wrong_method)))
}

/// The same, also with or without the slash at the end, whichever is not documented.
pub(crate) fn both_slashes<H, T>(
    router: OpenApiRouter<RestState>,
    routes: UtoipaMethodRouter<RestState>,
    wrong_method: H,
) -> OpenApiRouter<RestState>
where
    H: Handler<T, RestState>,
    T: 'static,
{
    let twins: Vec<String> = routes.1.paths.keys().map(|path| twin(path)).collect();
    let methods = routes.2.clone().fallback(wrong_method.clone());
    let router = exactly(router, routes, wrong_method);
    twins.iter().fold(router, |router, twin| router.route(twin, methods.clone()))
}

fn twin(path: &str) -> String {
    path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned)
}
