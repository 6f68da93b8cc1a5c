//! REST: the dialects' legs, the OpenAPI document, the web client, and what surrounds every request.

use std::time::{Duration, Instant};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request},
    http::{Method, StatusCode, header::RETRY_AFTER},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use chat_core::{ChatError, Code, kept_span, root_span};
use dialects::{edge, rest::retry_after};
use serde_json::json;
use telemetry::context::{self, TRACEPARENT};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument, Span, field::Empty};
use utoipa_axum::router::OpenApiRouter;

use crate::{answers, config::Config, grpc::UnderWay};

/// As much of a path as a log line shows.
const PATH_SHOWN: usize = 128;

/// The longest that a request may take.
const TIMEOUT: Duration = Duration::from_secs(12);

/// The same for uploads: 40 MiB over a slow line. One that stands still ends sooner (`dialects`).
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// The whole of REST, and the web client.
pub fn router(legs: OpenApiRouter, web: Router, config: &Config) -> Router {
    let trace_from_callers = config.trace_from_callers;
    let (router, mut document) = legs.split_for_parts();
    document.info.title = "Switchboard".into();
    document.info.version = env!("CARGO_PKG_VERSION").into();
    let router = router
        .route("/openapi.json", get(async move || Json(document)))
        .merge(web)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(in_bounded_time))
        .layer(from_fn(answers::in_bounded_room));
    edge::around(router, &config.allowed_origins, config.hsts_seconds)
        .layer(from_fn(move |request, next| noted(request, next, trace_from_callers)))
}

async fn in_bounded_time(request: Request, next: Next) -> Response {
    let is_upload = request.uri().path().starts_with("/api/upload/");
    let limit = if is_upload { UPLOAD_TIMEOUT } else { TIMEOUT };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refusal(Code::Unavailable, "the request took too long, try again"),
    }
}

/// One line for each refused or failed request. Without its query: that may hold a token.
async fn noted(request: Request, next: Next, trace_from_callers: bool) -> Response {
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(PATH_SHOWN).collect();
    let began = Instant::now();
    let _under_way = UnderWay::begin();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let span = span_of(&request, route, trace_from_callers);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let _in_span = span.enter();
    let ms = began.elapsed().as_millis();
    let labels = [("method", known(&method).to_owned()), ("route", route.to_owned())];
    metrics::histogram!("switchboard_http_request_seconds", &labels).record(began.elapsed());
    metrics::counter!("switchboard_http_requests_total", "status" => status.as_str().to_owned())
        .increment(1);
    if status.is_server_error() {
        tracing::warn!(%method, path, status = status.as_u16(), ms, "request failed");
    } else if status.is_client_error() {
        tracing::info!(%method, path, status = status.as_u16(), ms, "request refused");
    }
    response
}

/// A request's span, named by the route: a path may hold what nobody should see. Strangers don't
/// decide whether a trace is kept.
fn span_of(request: &Request, route: &str, trace_from_callers: bool) -> Span {
    let method = known(request.method());
    let given = request.headers().get(TRACEPARENT).filter(|_| trace_from_callers);
    let context = given.and_then(|value| value.to_str().ok());
    context::follow_or_begin(
        context.unwrap_or_default(),
        || {
            kept_span!(
                parent: None, "request", otel.kind = "server",
                otel.name = format_args!("{method} {route}"), http.request.method = method,
                http.route = route, http.response.status_code = Empty, otel.status_code = Empty
            )
        },
        || {
            root_span!(
                "request",
                otel.kind = "server",
                otel.name = format_args!("{method} {route}"),
                http.request.method = method,
                http.route = route,
                http.response.status_code = Empty,
                otel.status_code = Empty
            )
        },
    )
}

/// A method that there is: anybody may make one up.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let cause = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(cause, "a request handler panicked");
    refusal(Code::Internal, "internal error")
}

/// A refusal in the words of no dialect.
pub(crate) fn refusal(code: Code, sentence: &str) -> Response {
    let status = StatusCode::from_u16(code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let refusal = (status, Json(json!({"error": sentence, "code": code.as_str()})));
    match code.is_transient() {
        true => ([(RETRY_AFTER, "1")], refusal).into_response(),
        false => refusal.into_response(),
    }
}

/// The same for a refusal that may know when it is worth trying again.
pub(crate) fn refusal_of(error: &ChatError) -> Response {
    let mut response = refusal(error.code(), error.message());
    if let Some(after) = error.retry_after() {
        retry_after(&mut response, after);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use clap::Parser as _;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn ask(path: &str) -> (u16, Value) {
        let legs = OpenApiRouter::new().route("/panic", get(async || -> () { panic!("oh") }));
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let config = Config::try_parse_from(["message-api"]).expect("the defaults");
        let response =
            router(legs, Router::new(), &config).oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_tells_nothing() {
        let (status, body) = ask("/panic").await;
        assert_eq!((status, body), (500, json!({"error": "internal error", "code": "internal"})));
    }

    #[test]
    fn what_may_work_later_says_when() {
        let after = |code| refusal(code, "why").headers().get(RETRY_AFTER).cloned();
        assert_eq!(after(Code::Unavailable), Some("1".parse().expect("a header")));
        assert_eq!(after(Code::Internal), None);
    }

    #[tokio::test]
    async fn the_openapi_document_is_served() {
        let (status, body) = ask("/openapi.json").await;
        assert_eq!((status, &body["info"]["title"]), (200, &json!("Switchboard")));
        assert_eq!(body["info"]["version"], json!(env!("CARGO_PKG_VERSION")));
    }
}
