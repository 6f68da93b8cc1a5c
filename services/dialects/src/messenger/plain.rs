//! Hop 1 of 10, for clients without Socket.IO: the same events as JSON frames on `/ws`.
//! From the client; next `socket.rs`.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension, Json, Router,
    extract::{
        Query, State, WebSocketUpgrade,
        ws::{Utf8Bytes, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use chat_core::{ChatError, Code, Frame, Result, Session, Sink, root_span};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use tracing::Instrument;

use super::socket::MessengerLeg;
use crate::{
    address::Address,
    allowance::{Allowance, Owner},
    handshake, json,
    live::{self, Carrier, Incoming, Outbox},
    observe::{self, Counted},
    socket::{Client, Conversing, Leg, Ports},
};

/// Longest `id` and longest part of an unknown event's name that are sent back.
const ECHO_MAX: usize = 64;

/// The route, for the gateway to mount.
pub fn plain_router(ports: Ports) -> Router {
    Router::new().route("/ws", get(upgrade)).route("/ws/", get(upgrade)).with_state(ports)
}

#[derive(Deserialize)]
struct Wanted {
    token: Option<String>,
}

/// Lets the client in. One without a live session is told so inside; refused are only pages of
/// foreign origins, and everybody while sessions can't be looked up.
async fn upgrade(
    State(ports): State<Ports>,
    Query(wanted): Query<Wanted>,
    carrier: Option<Extension<Carrier>>,
    from: Address,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return refusal(&ChatError::invalid_payload("this is a WebSocket: ask for an upgrade"));
    };
    let token = wanted.token.as_deref().filter(|token| !token.is_empty());
    let span = root_span!("connect", otel.kind = "server", switchboard.protocol = "messenger");
    let session = match handshake::session(&ports, token, &headers).instrument(span).await {
        Ok(session) => session,
        Err(error) if error.code().http() == 401 => None,
        Err(error) => return refusal(&error),
    };
    let user = session.as_ref().map(|session| session.user.id);
    let allowance = match ports.allowances.socket(Owner::of(user, from)) {
        Ok(allowance) => allowance,
        Err(error) => return refusal(&error),
    };
    let carrier = carrier.map(|Extension(carrier)| carrier).unwrap_or_default();
    live::bounded(upgrade, &ports.limits).on_upgrade(async move |socket| {
        let talk = |outbox, incoming| talk(outbox, incoming, ports.clone(), session, &allowance);
        live::serve(socket, &ports, carrier, text, talk).await;
    })
}

fn refusal(error: &ChatError) -> Response {
    let status = StatusCode::from_u16(error.code().http()).unwrap_or(StatusCode::BAD_REQUEST);
    live::with_retry_after((status, Json(Refused::from(error))).into_response(), error)
}

/// A frame as it goes out: an answer is whole, a push has yet to be put into one.
fn text(frame: &Frame) -> Utf8Bytes {
    if frame.name.is_empty() {
        return frame.body.get().into();
    }
    let push = Push { event: frame.name, data: &frame.body };
    Frame::new("", &push).body.get().into()
}

#[derive(Serialize)]
struct Push<'a> {
    event: &'a str,
    data: &'a RawValue,
}

async fn talk(
    outbox: Arc<Outbox>,
    mut incoming: Incoming,
    ports: Ports,
    session: Option<Session>,
    allowance: &Allowance,
) {
    let (key, _counted) = (ports.keys.next(), Counted::begin("messenger", "plain"));
    let sink = Arc::clone(&outbox) as Arc<dyn Sink>;
    let bind = |session| ports.feed.bind(session, key, Arc::clone(&sink));
    let _bound = session.as_ref().map(bind);
    let client = Client { key, session, sink, ports: ports.clone() };
    let mut side = MessengerLeg.open(client).await;
    while let Some(text) = incoming.next().await {
        // Without its side the socket is about to be closed.
        let Ok(side) = &mut side else { continue };
        if let Some(answer) = handle(&mut **side, text, allowance).await {
            outbox.send(&answer).await;
        }
    }
}

/// What a client asks.
struct Asked {
    event: String,
    data: Value,
    /// Tells its answer from others; without it only a refusal is answered.
    id: Option<Value>,
}

/// A refusal, and what is known of the frame that is refused.
type Unreadable = (ChatError, Option<Value>);

impl Asked {
    fn parse(text: Result<Utf8Bytes>) -> Result<Self, Unreadable> {
        let bad = |rule: &'static str| ChatError::invalid_payload(rule);
        let text = text.map_err(|error| (error, None))?;
        let frame = json::read(text.as_str(), "the frame").map_err(|error| (error, None))?;
        let Value::Object(mut frame) = frame else {
            return Err((bad("a frame is a JSON object"), None));
        };
        let id = match frame.remove("id").unwrap_or_default() {
            Value::Null => None,
            id @ Value::Number(_) => Some(id),
            Value::String(id) if id.len() <= ECHO_MAX => Some(Value::String(id)),
            _ => return Err((bad("`id` must be a number, or a string of at most 64 bytes"), None)),
        };
        let Some(Value::String(event)) = frame.remove("event") else {
            return Err((bad("`event` must be a string: the event's name"), id));
        };
        let data = match frame.remove("data").unwrap_or_default() {
            Value::Null => Value::Object(Map::new()),
            data => data,
        };
        Ok(Self { event, data, id })
    }
}

/// What is answered to a frame with an `id`.
#[derive(Serialize)]
struct Answer<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refused<'a>>,
    id: &'a Value,
}

/// A refusal: a stable code, a sentence; in a push also the event that it is about.
#[derive(Serialize)]
struct Refused<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    code: &'static str,
    error: &'a str,
    #[serde(rename = "retryAfterMs", skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
}

impl<'a> From<&'a ChatError> for Refused<'a> {
    fn from(error: &'a ChatError) -> Self {
        let (code, retry_after_ms) = (error.code().as_str(), error.retry_after_ms());
        Self { event: None, code, error: error.message(), retry_after_ms }
    }
}

/// The answer to a frame; none where nothing was refused and no answer asked for.
fn answer(event: &str, id: Option<&Value>, outcome: Result<Value>) -> Option<Frame> {
    let event: String = event.chars().take(ECHO_MAX).collect();
    match (id, outcome) {
        (None, Ok(_)) => None,
        (None, Err(error)) => {
            let refused = Refused { event: Some(&event), ..Refused::from(&error) };
            Some(Frame::new("error", &refused))
        }
        (Some(id), Ok(data)) => {
            Some(Frame::new("", &Answer { event: &event, data: Some(data), error: None, id }))
        }
        (Some(id), Err(error)) => {
            let error = Some(Refused::from(&error));
            Some(Frame::new("", &Answer { event: &event, data: None, error, id }))
        }
    }
}

/// Handles one frame.
async fn handle(
    side: &mut dyn Conversing,
    text: Result<Utf8Bytes>,
    allowance: &Allowance,
) -> Option<Frame> {
    let came = Instant::now();
    let Asked { event, data, id } = match Asked::parse(text) {
        Ok(asked) => asked,
        Err((error, id)) => return answer("", id.as_ref(), Err(error)),
    };
    if let Err(error) = allowance.take(&event, came) {
        return answer(&event, id.as_ref(), Err(error));
    }
    let kind = observe::kind(MessengerLeg.protocol(), &event);
    let span = kind.came(1);
    let outcome = if MessengerLeg.knows(&event, &data) {
        side.handle(&event, data).instrument(span.clone()).await
    } else {
        Err(ChatError::new(Code::UnknownEvent, "there is no such event"))
    };
    if let Err(error) = &outcome {
        span.record("switchboard.refusal", error.code().as_str());
    }
    kind.answered(came);
    answer(&event, id.as_ref(), outcome)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(frame: &str) -> Result<(String, Value, Option<Value>), Code> {
        Asked::parse(Ok(frame.into()))
            .map(|asked| (asked.event, asked.data, asked.id))
            .map_err(|(error, _)| error.code())
    }

    #[test]
    fn a_frame_has_an_event_and_may_have_data_and_an_id() {
        assert_eq!(asked(r#"{"event": "e"}"#), Ok(("e".to_owned(), json!({}), None)));
        let full = asked(r#"{"event": "e", "data": {"a": 1}, "id": "x"}"#);
        assert_eq!(full, Ok(("e".to_owned(), json!({"a": 1}), Some(json!("x")))));
        for bad in ["", "[]", "{}", r#"{"event": 7}"#, r#"{"event": "e", "id": {}}"#] {
            assert_eq!(asked(bad), Err(Code::InvalidPayload), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_frame_is_read_or_refused_with_a_code(frame in crate::hostile::json_like()) {
            match asked(&frame) {
                Ok((_, _, Some(Value::String(id)))) => assert!(id.len() <= ECHO_MAX),
                Ok(_) => {}
                Err(code) => assert_eq!(code, Code::InvalidPayload),
            }
        }
    }

    #[test]
    fn with_an_id_everything_is_answered_and_without_one_only_refusals() {
        let refused = || Err(ChatError::new(Code::Empty, "why"));
        let text = |frame: Option<Frame>| frame.map(|frame| text(&frame).as_str().to_owned());
        assert_eq!(text(answer("e", None, Ok(json!({})))), None);
        let told = text(answer("e", None, refused())).expect("told");
        assert_eq!(told, r#"{"event":"error","data":{"event":"e","code":"empty","error":"why"}}"#);
        let done = text(answer("e", Some(&json!(7)), Ok(json!({"a": 1})))).expect("answered");
        assert_eq!(done, r#"{"event":"e","data":{"a":1},"id":7}"#);
        let not = text(answer("e", Some(&json!(7)), refused())).expect("answered");
        assert_eq!(not, r#"{"event":"e","error":{"code":"empty","error":"why"},"id":7}"#);
    }
}
