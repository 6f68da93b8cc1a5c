//! The shape of `/status.json`: sums over the replicas that are there, and each replica.

use std::{collections::BTreeMap, time::Duration};

use chat_core::clock;
use serde::Serialize;
use status_board::{Beat, Figures, Heard, Spread, State, reporter::WINDOW};

/// Who has said nothing for so long is lost, and no longer counted: several beats did not come.
const LOST: Duration = Duration::from_secs(4);

/// The whole answer. Rates are per second, latencies in milliseconds, both of the last `window`
/// seconds.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    /// When, by this replica's clock.
    at: String,
    window: u64,
    /// `ok`, or why only the replica that answers is shown.
    redis: String,
    sums: Sums,
    replicas: Vec<Replica>,
}

#[derive(Debug, Default, Serialize)]
struct Sums {
    /// By service and state.
    replicas: BTreeMap<String, BTreeMap<&'static str, u64>>,
    #[serde(flatten)]
    amounts: Amounts,
}

#[derive(Debug, Serialize)]
struct Replica {
    id: String,
    service: String,
    name: String,
    version: String,
    /// Seconds since it began.
    uptime: u64,
    /// `ready`, `unready`, `draining` or `lost`.
    state: &'static str,
    /// Milliseconds since its last beat.
    heard: u64,
    lacks: Vec<String>,
    #[serde(flatten)]
    amounts: Amounts,
}

#[derive(Debug, Default, Serialize)]
struct Amounts {
    connections: u64,
    sockets: BTreeMap<String, u64>,
    posts: f64,
    deliveries: f64,
    repairs: f64,
    requests: f64,
    cpu: f64,
    memory: u64,
    ack: Option<Latency>,
    delivery: Option<Latency>,
    commit: Option<Latency>,
}

/// Null where nothing happened.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    count: u64,
}

impl Overview {
    /// Of what was heard from the replicas.
    pub(super) fn of(mut heard: Vec<Heard>, redis: String) -> Self {
        heard.sort_by(|a, b| {
            (&a.beat.service, &a.beat.name, &a.beat.id).cmp(&(
                &b.beat.service,
                &b.beat.name,
                &b.beat.id,
            ))
        });
        let (mut sums, mut total) = (Sums::default(), Figures::default());
        for Heard { ago, beat } in &heard {
            let states = sums.replicas.entry(beat.service.clone()).or_default();
            *states.entry(state(*ago, beat)).or_default() += 1;
            if *ago < LOST {
                add(&mut total, &beat.figures);
            }
        }
        sums.amounts = Amounts::of(total);
        Self {
            at: clock::iso(clock::now()),
            window: WINDOW.as_secs(),
            redis,
            sums,
            replicas: heard.into_iter().map(Replica::of).collect(),
        }
    }
}

impl Replica {
    fn of(Heard { ago, beat }: Heard) -> Self {
        Self {
            state: state(ago, &beat),
            id: beat.id,
            service: beat.service,
            name: beat.name,
            version: beat.version,
            uptime: beat.uptime,
            heard: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
            lacks: beat.lacks,
            amounts: Amounts::of(beat.figures),
        }
    }
}

fn state(ago: Duration, beat: &Beat) -> &'static str {
    match beat.state {
        _ if ago >= LOST => "lost",
        State::Ready => "ready",
        State::Unready => "unready",
        State::Draining => "draining",
    }
}

fn add(total: &mut Figures, one: &Figures) {
    total.connections = total.connections.saturating_add(one.connections);
    for (protocol, count) in &one.sockets {
        let sum = total.sockets.entry(protocol.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    total.posts += one.posts;
    total.deliveries += one.deliveries;
    total.repairs += one.repairs;
    total.requests += one.requests;
    total.cpu += one.cpu;
    total.memory = total.memory.saturating_add(one.memory);
    total.ack.add(&one.ack);
    total.delivery.add(&one.delivery);
    total.commit.add(&one.commit);
}

impl Amounts {
    fn of(figures: Figures) -> Self {
        Self {
            connections: figures.connections,
            sockets: figures.sockets,
            posts: rounded(figures.posts),
            deliveries: rounded(figures.deliveries),
            repairs: rounded(figures.repairs),
            requests: rounded(figures.requests),
            cpu: rounded(figures.cpu),
            memory: figures.memory,
            ack: Latency::of(&figures.ack),
            delivery: Latency::of(&figures.delivery),
            commit: Latency::of(&figures.commit),
        }
    }
}

impl Latency {
    fn of(spread: &Spread) -> Option<Self> {
        let ms = |share| Some(rounded(spread.quantile(share)? * 1_000.0));
        Some(Self { p50: ms(0.5)?, p99: ms(0.99)?, count: spread.count() })
    }
}

/// To two decimals.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn heard(id: &str, seconds: u64, posts: f64) -> Heard {
        let figures = Figures {
            posts,
            connections: 10,
            sockets: [("chatto".to_owned(), 4)].into(),
            ..Figures::default()
        };
        let (id, service) = (id.to_owned(), "socket-gateway".to_owned());
        let beat = Beat { id, service, state: State::Ready, figures, ..Beat::default() };
        Heard { ago: Duration::from_secs(seconds), beat }
    }

    #[test]
    fn who_is_lost_is_shown_and_not_counted() {
        let replicas = vec![heard("b", 0, 1.25), heard("c", 9, 100.0), heard("a", 1, 0.5)];
        let overview = Overview::of(replicas, "ok".to_owned());
        let shown = serde_json::to_value(overview).expect("JSON");
        assert_eq!(shown["sums"]["replicas"]["socket-gateway"], json!({"lost": 1, "ready": 2}));
        assert_eq!(shown["sums"]["posts"], json!(1.75));
        assert_eq!(shown["sums"]["sockets"], json!({"chatto": 8}));
        assert_eq!((&shown["sums"]["ack"], &shown["window"]), (&Value::Null, &json!(5)));
        let states: Vec<_> = shown["replicas"].as_array().expect("replicas").iter().collect();
        let states: Vec<_> = states.iter().map(|one| (&one["id"], &one["state"])).collect();
        let (ready, lost) = (&json!("ready"), &json!("lost"));
        let expected = [(&json!("a"), ready), (&json!("b"), ready), (&json!("c"), lost)];
        assert_eq!(states, expected);
        assert_eq!(shown["replicas"][2]["heard"], json!(9_000));
    }
}
