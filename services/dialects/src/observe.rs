//! What is told of clients' events: how many, how long until the answer, and the first span of a
//! trace. Names are those that the protocols know: a client can't add to them.

use std::{sync::LazyLock, time::Instant};

use chat_core::root_span;
use metrics::{Counter, Histogram};
use tracing::Span;

/// The events of all protocols. 001's frames have no names.
pub const EVENTS: &[(&str, &[&str])] = &[
    ("tinychat", &["send:message"]),
    ("conversations", &["post"]),
    ("one-to-one", &["chatHistory", "chatMessage", "typing", "doneTyping"]),
    (
        "messenger",
        &[
            "fetch-users",
            "fetch-conversation-with-user",
            "fetch-unread-chats-count",
            "read-chat",
            "send-message",
            "edit-chat",
            "delete-chat",
            "wait-for-user",
            "stop-waiting-for-user",
        ],
    ),
    ("chatto", &["join room", "leave room", "chat message", "create room", "typing"]),
];

/// The events by which clients post, with their protocols.
pub const POSTS: &[(&str, &str)] = &[
    ("tinychat", "send:message"),
    ("conversations", "post"),
    ("one-to-one", "chatMessage"),
    ("messenger", "send-message"),
    ("chatto", "chat message"),
];

/// One event of one protocol. Found once: this is counted for each.
pub struct Kind {
    protocol: &'static str,
    event: &'static str,
    count: Counter,
    seconds: Histogram,
}

impl Kind {
    fn new(protocol: &'static str, event: &'static str) -> Self {
        let labels = [("protocol", protocol), ("event", event)];
        Self {
            protocol,
            event,
            count: metrics::counter!("switchboard_events_in_total", &labels),
            seconds: metrics::histogram!("switchboard_ack_seconds", &labels),
        }
    }

    /// So many came, and go on together: the span of their trace, or none.
    #[must_use]
    pub fn came(&self, events: usize) -> Span {
        self.count.increment(events as u64);
        root_span!(
            "event",
            otel.kind = "server",
            otel.name = format_args!("{} {}", self.protocol, self.event),
            switchboard.protocol = self.protocol,
            switchboard.event = self.event,
            switchboard.events = events,
            switchboard.refusal = tracing::field::Empty,
        )
    }

    /// One that came then has its answer.
    pub fn answered(&self, came: Instant) {
        self.seconds.record(came.elapsed());
    }
}

/// What is known of an event of a protocol.
#[must_use]
pub fn kind(protocol: &str, event: &str) -> &'static Kind {
    static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
        let names = EVENTS.iter().flat_map(|(protocol, events)| {
            events.iter().map(move |event| Kind::new(protocol, event))
        });
        names.collect()
    });
    let found = KINDS.iter().find(|kind| kind.event == event && kind.protocol == protocol);
    found.unwrap_or_else(|| nobodys())
}

/// What no protocol knows.
#[must_use]
pub fn nobodys() -> &'static Kind {
    static NOBODYS: LazyLock<Kind> = LazyLock::new(|| Kind::new("none", "unknown"));
    &NOBODYS
}

/// Counts a socket until it is dropped.
pub struct Counted(metrics::Gauge);

impl Counted {
    /// One more of this protocol and transport.
    #[must_use]
    pub fn begin(protocol: &'static str, transport: &'static str) -> Self {
        let sockets = metrics::gauge!(
            "switchboard_sockets", "protocol" => protocol, "transport" => transport
        );
        sockets.increment(1);
        Self(sockets)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chatto::socket::ChattoLeg, messenger::socket::MessengerLeg,
        one_to_one::socket::OneToOneLeg, socket::Leg, tinychat::socket::TinychatLeg,
    };

    #[test]
    fn each_event_is_one_that_its_protocol_knows() {
        let legs: [&dyn Leg; 4] =
            [&TinychatLeg, &OneToOneLeg::default(), &MessengerLeg, &ChattoLeg];
        for leg in legs {
            let events = EVENTS.iter().find(|(protocol, _)| *protocol == leg.protocol());
            for event in events.expect("the protocol has events").1 {
                let payload =
                    if leg.protocol() == "chatto" { json!({"roomId": 1}) } else { json!(0) };
                assert!(leg.knows(event, &payload), "{event}");
                assert_eq!(kind(leg.protocol(), event).event, *event);
            }
        }
        assert_eq!(kind("chatto", "made up").protocol, "none");
        for (protocol, event) in POSTS {
            assert_eq!(kind(protocol, event).protocol, *protocol, "{event}");
        }
    }
}
