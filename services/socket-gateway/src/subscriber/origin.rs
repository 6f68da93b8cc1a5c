//! What an event brings along beside itself: when it was published, and in which trace.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chat_core::{Topic, kept_span};
use switchboard_proto::v1;
use telemetry::context;
use tracing::Span;

/// Found once: this is measured for each event.
static DELIVERY: LazyLock<metrics::Histogram> =
    LazyLock::new(|| metrics::histogram!("switchboard_delivery_seconds"));

/// Where an event comes from.
pub(super) struct Origin {
    traceparent: String,
    published: Option<SystemTime>,
}

impl Origin {
    /// Takes it out of what came.
    pub(super) fn take(event: &mut v1::Event) -> Self {
        let traceparent = std::mem::take(&mut event.traceparent);
        let published = match event.published_us {
            0 => None,
            us => UNIX_EPOCH.checked_add(Duration::from_micros(us)),
        };
        Self { traceparent, published }
    }

    /// Does anybody keep its trace?
    pub(super) const fn is_kept(&self) -> bool {
        !self.traceparent.is_empty()
    }

    /// The delivery's span: one for all sockets of this gateway.
    pub(super) fn span(&self, topic: &Topic) -> Span {
        context::follow(&self.traceparent, || {
            let topic = match topic {
                Topic::Conversation(_) => "conversation",
                Topic::User(_) => "user",
                _ => "global",
            };
            kept_span!(
                parent: None, "deliver", otel.kind = "consumer", messaging.system = "redis",
                switchboard.topic = topic
            )
        })
    }

    /// All sockets here have it in their queues.
    pub(super) fn delivered(&self) {
        if let Some(published) = self.published {
            // Clocks of different machines: less than nothing is nothing.
            DELIVERY.record(published.elapsed().unwrap_or_default());
        }
    }
}
