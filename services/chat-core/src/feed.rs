//! The port `Feed`: hear. The gateway implements it over Redis.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    error::Result,
    event::{Event, Fleeting, Topic},
    ids::{ConversationId, Seq, SocketKey, UserId},
    model::{Caller, Session, User},
    roster::Roster,
    text::Username,
};

/// One event in one protocol's words: rendered once, shared by every socket that gets it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The event's name; empty where the protocol has only the body.
    pub name: &'static str,
    /// The JSON body.
    pub body: Arc<RawValue>,
    /// May be dropped when the reader is slow.
    pub fleeting: bool,
    wire: OnceLock<(&'static str, Bytes)>,
}

impl Frame {
    /// A frame that must arrive.
    pub fn new(name: &'static str, body: &impl Serialize) -> Self {
        // A wire shape of ours always serialises: strings, numbers and string-keyed maps only.
        let body = to_raw_value(body).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self { name, body: body.into(), fleeting: false, wire: OnceLock::new() }
    }

    /// The bytes as they go out on one kind of way, made by the first socket that needs them and
    /// shared by all that go the same way as that one.
    pub fn on(&self, way: &'static str, encode: impl Fn(&Self) -> Bytes) -> Bytes {
        match self.wire.get_or_init(|| (way, encode(self))) {
            (known, bytes) if *known == way => bytes.clone(),
            _ => encode(self),
        }
    }

    /// A frame that a slow reader may miss.
    pub fn fleeting(name: &'static str, body: &impl Serialize) -> Self {
        Self { fleeting: true, ..Self::new(name, body) }
    }
}

/// How a protocol words events. One instance a protocol: its [`Render::protocol`] is the key
/// under which a rendered event is shared.
pub trait Render: Send + Sync + 'static {
    /// The protocol's name.
    fn protocol(&self) -> &'static str;

    /// Which wording of an event this listener gets; `None`: it is not told. Listeners of one
    /// protocol with the same answer share the frames.
    fn wording(&self, event: &Event, to: &Listener) -> Option<u8> {
        (event.silent_for() != Some(to.key)).then_some(0)
    }

    /// The frames for an event in one wording; none if this protocol does not tell it.
    fn render(&self, event: &Event, wording: u8) -> Vec<Frame>;
}

/// The way to one socket.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Hands a frame over without waiting. Frames arrive in the order in which they were handed
    /// over. A socket that can't take one that must arrive is closed with a reason: it comes back
    /// and catches up, and nobody else waits for it.
    fn deliver(&self, frame: &Frame);

    /// Waits until a frame of any length finds room, or the socket is gone. Who hands over more
    /// than one answer to a request waits before each: a long catching up goes at the reader's
    /// pace.
    async fn has_room(&self);

    /// Closes the socket. Closing twice is fine.
    fn close(&self, reason: CloseReason);
}

/// Why we close a socket; counted under this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It reads too slowly. It may come back at once.
    SlowReader,
    /// Its session has ended. It should not come back without a new one.
    SessionEnded,
    /// It is a guest's, and somebody has registered its name. It should not come back by that name.
    NameTaken,
    /// This replica stops. It should go to another.
    Draining,
}

impl CloseReason {
    /// The name in metrics and close frames.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SlowReader => "slow_reader",
            Self::SessionEnded => "session_ended",
            Self::NameTaken => "name_taken",
            Self::Draining => "draining",
        }
    }
}

/// A socket's interest in a topic.
#[derive(Clone)]
pub struct Listener {
    /// The socket.
    pub key: SocketKey,
    /// Whose it is; `None` for a guest's.
    pub user: Option<UserId>,
    /// Its protocol's words.
    pub render: &'static dyn Render,
    /// The way to it.
    pub sink: Arc<dyn Sink>,
}

/// An interest that lasts until this is dropped.
pub struct Follow(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Follow {
    /// Runs `end` when dropped.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Follow")
    }
}

/// Everything that a socket can hear, and the fleeting things that it can say.
#[async_trait]
pub trait Feed: Send + Sync + 'static {
    /// Every durable change of a conversation after `after`, in `seq` order, each exactly once,
    /// and its fleeting events. When this returns, the listener has been handed all that was
    /// there before. `after` comes from a history or from changes, never from a client unchecked.
    /// `None` stands for "from now on". Fails with `unavailable` if the changes since `after`
    /// can't be had.
    async fn follow(
        &self,
        conversation: ConversationId,
        after: Option<Seq>,
        listener: Listener,
    ) -> Result<Follow>;

    /// Every durable change of all the user's directs from now on, each direct's in `seq` order,
    /// each exactly once, also of those that begin later.
    async fn follow_directs(&self, user: &User, listener: Listener) -> Result<Follow>;

    /// The events of a topic that have no order: notices and fleeting ones.
    async fn listen(&self, topic: Topic, listener: Listener) -> Result<Follow>;

    /// Ties a socket to its session, until the answer is dropped: its user counts as online, and
    /// when the session ends, on whichever replica, the socket is closed within a second.
    fn bind(&self, session: &Session, socket: SocketKey, sink: Arc<dyn Sink>) -> Follow;

    /// A guest's socket goes by a name, until the answer is dropped: when somebody registers it, on
    /// whichever replica, the socket is closed within a second. To be called before it is asked
    /// whether the name is free.
    fn wear(&self, name: &Username, sink: Arc<dyn Sink>) -> Follow;

    /// Who is online, on any replica, in any protocol.
    fn roster(&self) -> &Roster;

    /// A user's [`Fleeting::Online`] and [`Fleeting::Offline`], each at a change; and at once the
    /// former if they are online already.
    fn watch(&self, user: &User, listener: Listener) -> Follow;

    /// Tells a topic something fleeting. May be lost; never waits.
    fn whisper(&self, topic: Topic, event: Fleeting);

    /// From now on it is noted who comes to a room and who leaves it, until the answer is dropped,
    /// whatever the bus loses: a socket that attends to a room before it follows it hears of each
    /// coming and going after that once.
    fn attend(&self, conversation: ConversationId) -> Follow;

    /// A socket that attends to a room and follows it enters it. When it is its user's first there, on any gateway, the others in
    /// the room hear [`Fleeting::Entered`].
    fn enter(&self, conversation: ConversationId, who: &Caller, socket: SocketKey);

    /// A socket leaves a room. When it was its user's last there, on any gateway, the others hear
    /// [`Fleeting::Left`], once. A gateway that dies without a word leaves for all its sockets.
    fn leave(&self, conversation: ConversationId, who: &Caller, socket: SocketKey);
}
