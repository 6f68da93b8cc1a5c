//! What the gateway counts: the words that `/metrics` shows beside each name.

use chat_core::process::Shutdown;
use telemetry::metrics::{
    self, BuildError,
    Kind::{Counter, Gauge, Histogram},
    Metric, Metrics, SECONDS,
};

/// Buckets of how long a trip through the bus takes.
const TRIP: &[f64] = &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5];

/// All of it. No label has more values than the code has names.
#[rustfmt::skip]
pub const TABLE: &[Metric] = &[
    ("switchboard_ack_seconds", Histogram(SECONDS), &["protocol", "event"], "From a client's event to its answer in the socket's queue."),
    ("switchboard_bus_connections_total", Counter, &[], "Connections made to hear Redis; one is usual."),
    ("switchboard_bus_overflow_total", Counter, &[], "Messages of the bus dropped since they came faster than they were taken; repaired."),
    ("switchboard_bus_probe_age_seconds", Gauge, &[], "How long no probe was heard."),
    ("switchboard_bus_probe_seconds", Histogram(TRIP), &[], "A probe's trip through Redis."),
    ("switchboard_bus_rubbish_total", Counter, &[], "Messages on our channels that are no event of ours."),
    ("switchboard_bus_silences_total", Counter, &[], "Connections given up because no probe came back."),
    ("switchboard_calls_refused_total", Counter, &[], "Calls that waited for message-api's turn and got none."),
    ("switchboard_calls_repeated_total", Counter, &[], "Calls that went to message-api again, mostly to another replica."),
    ("switchboard_calls_waited_total", Counter, &[], "Calls that had to wait for message-api's next turn."),
    ("switchboard_calls_waiting", Gauge, &[], "Calls that wait for message-api's next turn."),
    ("switchboard_closed_total", Counter, &["reason"], "Sockets closed by us."),
    ("switchboard_connections", Gauge, &[], "Open connections."),
    ("switchboard_delivery_seconds", Histogram(SECONDS), &[], "From an event's publishing to the queues of all sockets here; clocks of two machines."),
    ("switchboard_events_in_total", Counter, &["protocol", "event"], "Events that clients sent and that were handled; `none` has no protocol."),
    ("switchboard_events_out_total", Counter, &["protocol", "event"], "Events handed to sockets by the feed, for each socket."),
    ("switchboard_events_refused_total", Counter, &[], "Events refused because the socket's queue was full."),
    ("switchboard_fleeting_dropped_total", Counter, &[], "Fleeting frames that slow readers missed."),
    ("switchboard_frames_out_total", Counter, &[], "Frames handed to sockets of Socket.IO."),
    ("switchboard_handshakes_put_off_total", Counter, &[], "Clients sent away since their turn to come in took too long, or too many polling sessions began at once."),
    ("switchboard_holes_total", Counter, &[], "Holes noticed in a conversation's changes, as they came."),
    ("switchboard_limited_total", Counter, &["what"], "Connections (`address`), sockets (`user`) and events (`messages`, `fleeting`, `queries`) refused since there were too many."),
    ("switchboard_lookups_failed_total", Counter, &[], "Look-ups of message-api's name that failed."),
    ("switchboard_message_api_replicas", Gauge, &[], "Replicas of message-api that are known."),
    ("switchboard_message_api_replicas_serving", Gauge, &[], "Replicas of message-api that answer."),
    ("switchboard_notices_repaired_total", Counter, &[], "Rooms made while the bus was silent, told later."),
    ("switchboard_presence_dead_gateways_total", Counter, &[], "Gateways cleared whose lease had run out without a farewell."),
    ("switchboard_presence_lease_age_seconds", Gauge, &[], "Since this gateway's lease was renewed."),
    ("switchboard_presence_members", Gauge, &["kind"], "Members that this gateway lists."),
    ("switchboard_presence_mended_total", Counter, &["kind"], "Who came or left unheard, found by comparison."),
    ("switchboard_presence_moves_waiting", Gauge, &[], "Moves that Redis has not heard yet."),
    ("switchboard_presence_restatements_total", Counter, &[], "Times that this gateway said everything again."),
    ("switchboard_repair_calls_total", Counter, &["verb"], "Calls to message-api for repair."),
    ("switchboard_repair_failures_total", Counter, &[], "Calls for repair that failed; they are repeated."),
    ("switchboard_repaired_changes_total", Counter, &[], "Changes that came by repair, not by the bus."),
    ("switchboard_repairs_total", Counter, &["reason"], "Repairs begun: after a hole, a return, a comparison, a join."),
    ("switchboard_service_token_stale", Gauge, &[], "1 while the service token's file can't be read or makes no sense."),
    ("switchboard_sockets", Gauge, &["protocol", "transport"], "Sockets that are in. `shared`: in the namespace of all protocols. `library`: polls, came over from polling, or is an old client."),
    ("switchboard_waiting_bytes", Gauge, &[], "Bytes that wait for slow readers."),
    ("switchboard_whispers_dropped_total", Counter, &[], "Fleeting events dropped: the queue was full."),
    ("switchboard_whispers_failed_total", Counter, &[], "Batches of fleeting events that Redis did not take."),
];

/// Begins to count.
pub fn start(tasks: &Shutdown) -> Result<Metrics, BuildError> {
    metrics::start(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), TABLE, tasks)
}
