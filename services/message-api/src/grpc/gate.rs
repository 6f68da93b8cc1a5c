//! What every call passes before it reaches its verb: whose token is shown, how much time there is,
//! and what it came to, in the words of our refusals.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use chat_core::{ChatError, Code as Reason};
use dialects::address::Address;
use switchboard_proto::{
    AUTHORIZATION,
    status::{DEADLINE_EXCEEDED, SERVICE_TOKEN_REFUSED, UNIMPLEMENTED, from_error, with_reason},
};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::{
    listen::Caller,
    tokens::{ServiceTokens, Shown},
};
use crate::doorkeeper::{Local, wrong_tokens};

/// The longest that a call may take, whatever its caller allows.
pub(super) const LONGEST: Duration = Duration::from_secs(10);
/// So much earlier than its caller gives up a call is answered, if it allows that much.
const MARGIN: Duration = Duration::from_millis(10);
/// How long a refusal waits for its answer if there were too many from its address.
const SLOWLY: Duration = Duration::from_secs(1);
/// How the library begins to say that a body is no message of the verb's type.
const NO_MESSAGE: &str = "failed to decode Protobuf message";
/// What needs no token: probes have none.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// When the caller gives up, if it has said so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub(super) Instant);

/// Knows who may pass, and who has tried in vain. Clones share it.
#[derive(Clone)]
pub(super) struct Gate {
    tokens: ServiceTokens,
    refused: Arc<Local>,
}

impl Gate {
    pub(super) fn new(tokens: ServiceTokens) -> Self {
        Self { tokens, refused: Arc::default() }
    }

    /// A call is refused: said in the log, unless its address has been refused too often; then it
    /// waits instead. Who shows a right token is never kept waiting.
    async fn bears(&self, peer: Option<ConnectInfo<SocketAddr>>, path: &str) {
        let from = peer.map(|ConnectInfo(peer)| Address::from(peer.ip()).to_string());
        let from = from.unwrap_or_default();
        match self.refused.take(&from, wrong_tokens()) {
            Ok(()) => {
                tracing::warn!(path, from, "a call without the token of a service was refused");
            }
            Err(_) => sleep(SLOWLY).await,
        }
    }
}

/// Lets a call pass that shows a service's token, in the time that it has.
pub(super) async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let shown = token(request.headers());
    let known = shown.and_then(|shown| Some((shown, gate.tokens.owner(shown)?)));
    if let (Some(caller), Some(_)) = (request.extensions().get::<Caller>(), &known) {
        caller.is_known();
    }
    if path.starts_with(HEALTH) {
        return next.run(request).await;
    }
    let Some((shown, service)) = known else {
        count("none", &path, Code::Unauthenticated);
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().copied();
        drop(request);
        gate.bears(peer, &path).await;
        let sentence = "show the token of a service: `authorization: Bearer <token>`";
        return with_reason(Code::Unauthenticated, SERVICE_TOKEN_REFUSED, sentence).into_http();
    };
    let allowed = timeout(request.headers()).map(|time| time - MARGIN.min(time / 10));
    let bound = allowed.map_or(LONGEST, |allowed| allowed.min(LONGEST));
    if let Some(allowed) = allowed {
        request.extensions_mut().insert(Deadline(Instant::now() + allowed));
    }
    let name = service.clone();
    request.extensions_mut().insert(shown);
    request.extensions_mut().insert(service);
    let answer = tokio::time::timeout(bound, next.run(request)).await;
    let (answer, code) = answer.map_or_else(|_| (late(), Code::DeadlineExceeded), worded);
    tracing::debug!(service = &*name.0, path, ?code, "called");
    count(&name.0, &path, code);
    answer
}

fn late() -> Response {
    let sentence = "it took longer than the deadline allows; it is not known whether it was done";
    with_reason(Code::DeadlineExceeded, DEADLINE_EXCEEDED, sentence).into_http()
}

/// What is shown as `authorization: Bearer <token>`.
pub(super) fn token(headers: &HeaderMap) -> Option<Shown> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(Shown::of)
}

/// `grpc-timeout`: at most eight digits and a unit. What is none is as good as absent.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let raw = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = raw.split_at_checked(raw.len().checked_sub(1)?)?;
    let number = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The answer and its code. What the library refused by itself is told in our words. A stream that
/// has begun counts as OK.
fn worded(answer: Response) -> (Response, Code) {
    let Some(status) = Status::from_header_map(answer.headers()) else { return (answer, Code::Ok) };
    let code = status.code();
    if code == Code::Ok || !status.details().is_empty() {
        return (answer, code);
    }
    let worded = match code {
        // With this header the verb is there, but how the request is compressed is not known.
        Code::Unimplemented if !answer.headers().contains_key("grpc-accept-encoding") => {
            with_reason(code, UNIMPLEMENTED, "there is no such verb")
        }
        Code::OutOfRange | Code::ResourceExhausted => {
            from_error(&ChatError::new(Reason::PayloadTooLarge, "the request is too large"))
        }
        Code::Internal if status.message().starts_with(NO_MESSAGE) => {
            from_error(&ChatError::invalid_payload(status.message().to_owned()))
        }
        _ => return (answer, code),
    };
    (worded.clone().into_http::<Body>(), worded.code())
}

/// Labels are bounded: by the services that have tokens, our verbs, the codes of gRPC.
fn count(service: &str, path: &str, code: Code) {
    let method = path.rsplit('/').next().unwrap_or_default();
    let is_known = !matches!(code, Code::Unimplemented | Code::Unauthenticated);
    let method = if is_known { method } else { "unknown" };
    metrics::counter!(
        "switchboard_grpc_calls_total",
        "service" => service.to_owned(),
        "method" => method.to_owned(),
        "code" => format!("{code:?}"),
    )
    .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let parsed = |raw: &'static str| {
            timeout(&HeaderMap::from_iter([(
                "grpc-timeout".parse().expect("a name"),
                raw.parse().expect("a value"),
            )]))
        };
        assert_eq!(parsed("1H"), Some(Duration::from_secs(3_600)));
        assert_eq!(parsed("99999999M"), Some(Duration::from_secs(99_999_999 * 60)));
        assert_eq!(parsed("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parsed("7n"), Some(Duration::from_nanos(7)));
        for bad in ["", "S", "1", "1x", "-1S", "123456789S", "1.5S"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_bearer_token_is_looked_at() {
        let shows = |value: &'static str| {
            token(&HeaderMap::from_iter([(
                "authorization".parse().expect("a name"),
                value.parse().expect("a value"),
            )]))
        };
        assert!(shows("Bearer a token").is_some());
        for wrong in ["", "Bearer", "Basic a token", "a token", "bearer a token"] {
            assert!(shows(wrong).is_none(), "{wrong}");
        }
    }
}
