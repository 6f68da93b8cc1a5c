//! Who connects. Runs before the client hears that it is in, so that not even the first event of
//! an eager client finds nobody listening.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use chat_core::{ChatError, Code, Follow, Session, Sink, root_span};
use dialects::{
    address::Address,
    allowance::{Allowance, Owner},
    observe::Counted,
    socket::Client,
};
use hyper::HeaderMap;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, Event, SocketRef};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Gate, Mount, Stranger,
    inbox::{Delivery, Outbox, Packet},
    sink::SocketSink,
    task::{self, Seat, Side},
};
use crate::{chat_client::for_socket, stays::Stay};

/// Left by [`admit`] for [`begin`]: tells the socket's task that the client has heard that it is in.
#[derive(Clone)]
struct Begin(Arc<Mutex<Option<oneshot::Sender<()>>>>);

/// A `connect_error`: the sentence, and where the packet is our own also what programs need. The
/// library's packets, of sockets that poll and of old clients, have the sentence only.
pub(super) struct Refusal {
    sentence: String,
    why: Option<ChatError>,
}

impl Refusal {
    fn of(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), why: None }
    }

    /// The packet's payload.
    pub(super) fn payload(&self) -> Value {
        let Some(why) = &self.why else { return json!({"message": self.sentence}) };
        let mut data = json!({"code": why.code().as_str()});
        if let Some(ms) = why.retry_after_ms() {
            data["retryAfterMs"] = ms.into();
        }
        json!({"message": self.sentence, "data": data})
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<ChatError> for Refusal {
    fn from(error: ChatError) -> Self {
        let sentence = match error.code() {
            // 004: the words of its document.
            Code::InvalidToken | Code::Unauthorised => "Invalid token".to_owned(),
            _ => error.message().to_owned(),
        };
        Self { sentence, why: Some(error) }
    }
}

/// The request with which a client came.
pub(super) struct Visit {
    pub headers: HeaderMap,
    pub query: Option<Box<str>>,
    pub from: Address,
}

/// Somebody who may come in: the task runs, and waits until the client has heard of it.
pub(super) struct Entered {
    pub outbox: Outbox,
    /// To be cancelled when the socket is gone.
    pub gone: CancellationToken,
    /// To be told when the client has heard that it is in.
    pub begin: Option<oneshot::Sender<()>>,
}

/// Admits a socket of the library.
pub(super) async fn admit(
    gate: Gate,
    socket: SocketRef,
    auth: Result<Value, String>,
) -> Result<(), Refusal> {
    let sink = Arc::new(SocketSink::new(socket.clone(), gate.namespace, &gate.mount));
    let request = socket.req_parts();
    let query = request.uri.query().map(Into::into);
    let from = Address::noted(&request.extensions);
    let visit = Visit { headers: request.headers.clone(), query, from };
    let stay = request.extensions.get().cloned();
    let entered = enter(&gate, Arc::clone(&sink), &visit, &auth, stay).await?;
    listen(&gate.mount, &socket, &sink, &entered);
    socket.extensions.insert(Begin(Arc::new(Mutex::new(entered.begin))));
    Ok(())
}

/// Checks who it is, opens every protocol's side of it and starts its task: from the moment that
/// the client hears that it is in, it misses nothing.
pub(super) async fn enter(
    gate: &Gate,
    sink: Arc<SocketSink>,
    visit: &Visit,
    auth: &Result<Value, String>,
    stay: Option<Arc<Stay>>,
) -> Result<Entered, Refusal> {
    let mount = &gate.mount;
    // A refusal is final for official clients; a lost connection makes them come again.
    let not_now = |sentence: &str| {
        sink.cut();
        Refusal::of(sentence)
    };
    if mount.shutdown.is_begun() {
        return Err(not_now("this replica stops, try another"));
    }
    let Some(place) = mount.connections.place() else {
        return Err(not_now("this replica is full, try another"));
    };
    let Some(turn) = mount.connections.turn().await else {
        return Err(not_now("this replica is busy, try again"));
    };
    let span = root_span!("connect", otel.kind = "server", switchboard.protocol = gate.protocol());
    let opened = open(gate, &sink, visit, auth).instrument(span).await;
    let (bound, allowance, sides) = opened.map_err(|error| {
        // Who has too many sockets would only come again and again.
        if error.code().is_transient() && error.retry_after().is_none() {
            return not_now(error.message());
        }
        Refusal::from(error)
    })?;
    drop(turn);
    let (outbox, inbox) = super::inbox::pair();
    let gone = inbox.gone.clone();
    let (begin, begun) = oneshot::channel();
    let counted = Counted::begin(gate.protocol(), sink.transport());
    let seat = Seat {
        sink,
        sides,
        inbox,
        allowance,
        begun,
        _bound: bound,
        _place: place,
        _entry: stay.map(Stay::enters),
        _counted: counted,
    };
    mount.shutdown.spawn(for_socket(gone.clone(), seat.live()));
    Ok(Entered { outbox, gone, begin: Some(begin) })
}

/// The client has heard that it is in.
pub(super) fn begin(socket: &SocketRef) {
    let begin = socket.extensions.get::<Begin>();
    let begin = begin.and_then(|b| b.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    if let Some(begin) = begin {
        // If the task is gone, so is the socket.
        let _ = begin.send(());
    }
}

async fn open(
    gate: &Gate,
    sink: &Arc<SocketSink>,
    visit: &Visit,
    auth: &Result<Value, String>,
) -> Result<(Option<Follow>, Allowance, Vec<Side>), ChatError> {
    let Gate { mount, stranger, .. } = gate;
    let session = session(mount, visit, auth).await;
    let user = session.as_ref().ok().and_then(|session| Some(session.as_ref()?.user.id));
    // Who is not let in has knocked all the same.
    let allowance = mount.ports.allowances.socket(Owner::of(user, visit.from))?;
    let session = match session {
        Err(error) if *stranger == Stranger::ToldInside && error.code().http() == 401 => None,
        session => session?,
    };
    let is_welcome = match stranger {
        Stranger::Guest => mount.ports.guests,
        Stranger::Refused => false,
        Stranger::ToldInside => true,
    };
    if session.is_none() && !is_welcome {
        return Err(ChatError::new(Code::Forbidden, "Authentication required"));
    }
    let (key, sink) = (mount.ports.keys.next(), Arc::clone(sink) as Arc<dyn Sink>);
    let bind = |session| mount.ports.feed.bind(session, key, Arc::clone(&sink));
    let bound = session.as_ref().map(bind);
    let client = Client { key, session, sink, ports: mount.ports.clone() };
    let sides = task::open(mount, &client).await?;
    Ok((bound, allowance, sides))
}

/// Puts the library's handlers in place.
fn listen(mount: &Mount, socket: &SocketRef, sink: &Arc<SocketSink>, entered: &Entered) {
    let (outbox, gone) = (entered.outbox.clone(), entered.gone.clone());
    let event_max = mount.ports.limits.event_max();
    // The socket owns its handlers and the sink owns the socket: not both ways.
    let sink = Arc::downgrade(sink);
    let leaving = sink.clone();
    socket.on_fallback(move |Event(event): Event, packet: Packet, ack: AckSender| {
        // Runs in the read loop, in the order in which the events came.
        let text = (packet.text.len() <= event_max).then_some(packet.text);
        if let Some(sink) = sink.upgrade() {
            let (ack, ack_id, came) = (Some(ack), packet.ack_id, Instant::now());
            outbox.put(&sink, Delivery { event, text, ack, ack_id, came });
        }
        async {}
    });
    socket.on_disconnect(move || {
        gone.cancel();
        if let Some(sink) = leaving.upgrade() {
            sink.gone();
        }
        async {}
    });
}

/// The session that it comes with.
async fn session(
    mount: &Mount,
    visit: &Visit,
    auth: &Result<Value, String>,
) -> Result<Option<Session>, ChatError> {
    let auth =
        auth.as_ref().map_err(|_| ChatError::new(Code::InvalidToken, "`auth` is not JSON"))?;
    let token = token(auth, visit.query.as_deref())?;
    dialects::handshake::session(&mount.ports, token, &visit.headers).await
}

/// `auth: {token}`, or `?token=` for clients whose version has no `auth`. Empty means none.
fn token<'a>(auth: &'a Value, query: Option<&'a str>) -> Result<Option<&'a str>, ChatError> {
    let refusal = |what| Err(ChatError::new(Code::InvalidToken, what));
    let given = match auth {
        Value::Null => None,
        Value::Object(auth) => auth.get("token").filter(|token| !token.is_null()),
        _ => return refusal("`auth` must be an object"),
    };
    let token = match given {
        Some(Value::String(token)) => Some(token.as_str()),
        Some(_) => return refusal("`token` must be a string"),
        None => {
            query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("token=")))
        }
    };
    Ok(token.filter(|token| !token.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_token_comes_in_auth_or_else_in_the_query() {
        let of = |auth: Value, query| {
            token(&auth, query).map(|token| token.map(str::to_owned)).map_err(|error| error.code())
        };
        assert_eq!(of(json!({"token": "a.b.c"}), Some("token=x")), Ok(Some("a.b.c".to_owned())));
        assert_eq!(of(json!({}), Some("EIO=3&token=a.b.c")), Ok(Some("a.b.c".to_owned())));
        for none in [json!(null), json!({}), json!({"token": ""}), json!({"token": null})] {
            assert_eq!(of(none, Some("EIO=4")), Ok(None));
        }
        for bad in [json!({"token": 7}), json!([1]), json!("a.b.c"), json!(5)] {
            assert_eq!(of(bad, None), Err(Code::InvalidToken));
        }
    }
}
