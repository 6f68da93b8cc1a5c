//! What the gateway counts: the words that `/metrics` shows beside each name.

use std::time::Duration;

use chat_core::process::Shutdown;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Buckets of how long a trip through the bus takes.
const SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5];

/// Counters; no label has more than a handful of values.
const COUNTERS: [(&str, &str); 20] = [
    ("switchboard_bus_connections_total", "Connections made to hear Redis; one is usual."),
    ("switchboard_bus_silences_total", "Connections given up because no probe came back."),
    ("switchboard_bus_rubbish_total", "Messages on our channels that are no event of ours."),
    ("switchboard_holes_total", "Holes noticed in a conversation's changes, as they came."),
    ("switchboard_repairs_total", "Repairs begun, by reason: hole, return, comparison, join."),
    ("switchboard_repaired_changes_total", "Changes that came by repair, not by the bus."),
    ("switchboard_repair_calls_total", "Calls to message-api for repair, by verb."),
    ("switchboard_repair_failures_total", "Calls of those that failed; they are repeated."),
    ("switchboard_notices_repaired_total", "Rooms made while the bus was silent, told later."),
    ("switchboard_whispers_dropped_total", "Fleeting events dropped: the queue was full."),
    ("switchboard_whispers_failed_total", "Batches of fleeting events that Redis did not take."),
    ("switchboard_frames_out_total", "Frames handed to sockets."),
    ("switchboard_fleeting_dropped_total", "Fleeting frames that slow readers missed."),
    ("switchboard_events_in_total", "Events that clients sent."),
    ("switchboard_calls_waited_total", "Calls that had to wait for message-api's next turn."),
    ("switchboard_calls_refused_total", "Calls of those that got none."),
    ("switchboard_closed_total", "Sockets closed by us, by reason."),
    (
        "switchboard_presence_mended_total",
        "Who came or left unheard, found by comparison, by kind.",
    ),
    ("switchboard_presence_dead_gateways_total", "Gateways cleared whose lease had run out."),
    ("switchboard_presence_restatements_total", "Times that this gateway said everything again."),
];

/// Gauges.
const GAUGES: [(&str, &str); 10] = [
    ("switchboard_bus_probe_age_seconds", "How long no probe was heard."),
    ("switchboard_connections", "Open connections."),
    ("switchboard_waiting_bytes", "Bytes that wait for slow readers."),
    ("switchboard_tasks", "Tasks alive."),
    ("switchboard_presence_lease_age_seconds", "Since this gateway's lease was renewed."),
    ("switchboard_presence_members", "Members that this gateway lists, by kind."),
    ("switchboard_presence_moves_waiting", "Moves that Redis has not heard yet."),
    ("switchboard_calls_waiting", "Calls that wait for message-api's next turn."),
    ("switchboard_message_api_replicas_serving", "Replicas of message-api that answer."),
    ("switchboard_service_token_stale", "1 if SERVICE_TOKEN_FILE says what can't be taken."),
];

/// Begins to count, and keeps the counts small whether or not anybody asks for them.
pub fn start(tasks: &Shutdown) -> Result<PrometheusHandle, BuildError> {
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .install_recorder()?;
    for (name, meaning) in COUNTERS {
        describe_counter!(name, meaning);
    }
    for (name, meaning) in GAUGES {
        describe_gauge!(name, meaning);
    }
    describe_histogram!("switchboard_bus_probe_seconds", "A probe's trip through Redis.");
    let upkeep = metrics.clone();
    tasks.spawn_until_stopped(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(metrics)
}
