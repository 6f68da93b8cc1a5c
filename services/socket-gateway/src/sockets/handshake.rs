//! Who connects. Runs before the client hears that it is in, so that not even the first event of
//! an eager client finds nobody listening.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use chat_core::{ChatError, Code, Session, SocketKey};
use serde_json::Value;
use socketioxide::extract::{AckSender, Event, SocketRef};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{
    Mount, Stranger,
    inbox::{Delivery, Inbox, Packet},
};

/// What a socket brings from its handshake to its task.
pub(super) struct Seat {
    pub key: SocketKey,
    pub session: Option<Session>,
    pub inbox: Inbox,
    pub gone: CancellationToken,
    pub _place: OwnedSemaphorePermit,
}

/// Left by [`admit`] for [`super::task::begin`].
#[derive(Clone)]
pub(super) struct Seated(pub Arc<Mutex<Option<Seat>>>);

/// The sentence of a `connect_error`.
pub(super) struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ChatError> for Refusal {
    fn from(error: ChatError) -> Self {
        match error.code() {
            // 004: the words of its document.
            Code::InvalidToken | Code::Unauthorised => Self("Invalid token".to_owned()),
            _ => Self(error.message().to_owned()),
        }
    }
}

/// Checks who it is and puts the handlers in place.
pub(super) async fn admit(
    mount: Mount,
    socket: SocketRef,
    auth: Result<Value, String>,
    stranger: Stranger,
) -> Result<(), Refusal> {
    if mount.shutdown.is_begun() {
        return Err(Refusal("this replica stops, try another".to_owned()));
    }
    let Some(place) = mount.connections.place() else {
        return Err(Refusal("this replica is full, try another".to_owned()));
    };
    let session = match session(&mount, &socket, &auth).await {
        Err(error) if stranger == Stranger::ToldInside && error.code().http() == 401 => None,
        session => session?,
    };
    let is_welcome = match stranger {
        Stranger::Guest => mount.ports.guests,
        Stranger::Refused => false,
        Stranger::ToldInside => true,
    };
    if session.is_none() && !is_welcome {
        return Err(Refusal("Authentication required".to_owned()));
    }
    let (outbox, inbox) = super::inbox::pair();
    let gone = CancellationToken::new();
    let key = mount.ports.keys.next();
    let seat = Seat { key, session, inbox, gone: gone.clone(), _place: place };
    socket.extensions.insert(Seated(Arc::new(Mutex::new(Some(seat)))));
    let event_max = mount.ports.limits.event_max();
    socket.on_fallback(
        move |socket: SocketRef, Event(event): Event, packet: Packet, ack: AckSender| {
            // Runs in the read loop, in the order in which the events came.
            let text = (packet.text.len() <= event_max).then_some(packet.text);
            outbox.put(&socket, Delivery { event, text, ack, wants_ack: packet.wants_ack });
            async {}
        },
    );
    socket.on_disconnect(move || {
        gone.cancel();
        async {}
    });
    Ok(())
}

/// The session that it comes with.
async fn session(
    mount: &Mount,
    socket: &SocketRef,
    auth: &Result<Value, String>,
) -> Result<Option<Session>, ChatError> {
    let request = socket.req_parts();
    let auth =
        auth.as_ref().map_err(|_| ChatError::new(Code::InvalidToken, "`auth` is not JSON"))?;
    let token = token(auth, request.uri.query())?;
    dialects::handshake::session(&mount.ports, token, &request.headers).await
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
