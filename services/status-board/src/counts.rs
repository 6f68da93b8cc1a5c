//! The figures of this process as they stand, from its own metrics.

use std::collections::BTreeMap;

use crate::Spread;

/// What was counted since the process began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: f64,
    pub(crate) sockets: BTreeMap<String, f64>,
    pub(crate) posts: f64,
    pub(crate) deliveries: f64,
    pub(crate) repairs: f64,
    pub(crate) requests: f64,
    /// Seconds of a core. Not from the metrics, where they are whole seconds.
    pub(crate) cpu: f64,
    pub(crate) memory: f64,
    pub(crate) ack: Spread,
    pub(crate) delivery: Spread,
    pub(crate) commit: Spread,
}

/// A histogram's buckets, added up over its labels. Bounds are not negative, so their bits are in
/// their order.
#[derive(Default)]
struct Buckets(BTreeMap<u64, u64>);

impl Buckets {
    fn take(&mut self, series: &str, value: f64) {
        let bound = label(series, "le").and_then(|bound| bound.parse::<f64>().ok());
        if let Some(bound) = bound {
            *self.0.entry(bound.to_bits()).or_default() += whole(value);
        }
    }

    fn spread(self) -> Spread {
        Spread::of_cumulative(self.0.into_iter().map(|(bits, count)| (f64::from_bits(bits), count)))
    }
}

impl Counts {
    /// From the text that Prometheus reads. `posts`: the protocol and the name of each event by
    /// which clients post.
    pub(crate) fn read(text: &str, posts: &[(&str, &str)]) -> Self {
        let mut counts = Self::default();
        let (mut ack, mut delivery, mut commit) =
            (Buckets::default(), Buckets::default(), Buckets::default());
        for (series, value) in text.lines().filter_map(parse) {
            match series.split('{').next().unwrap_or_default() {
                "switchboard_connections" => counts.connections = value,
                "switchboard_sockets" => {
                    let protocol = label(series, "protocol").unwrap_or_default().to_owned();
                    *counts.sockets.entry(protocol).or_default() += value;
                }
                "switchboard_posts_total" => counts.posts += value,
                "switchboard_events_out_total" => counts.deliveries += value,
                "switchboard_repairs_total" => counts.repairs += value,
                "switchboard_http_requests_total" => counts.requests += value,
                "process_resident_memory_bytes" => counts.memory = value,
                "switchboard_ack_seconds_bucket" => {
                    let event = (label(series, "protocol"), label(series, "event"));
                    if posts.iter().any(|(protocol, name)| event == (Some(*protocol), Some(*name)))
                    {
                        ack.take(series, value);
                    }
                }
                "switchboard_delivery_seconds_bucket" => delivery.take(series, value),
                "switchboard_commit_seconds_bucket" => commit.take(series, value),
                _ => {}
            }
        }
        Self { ack: ack.spread(), delivery: delivery.spread(), commit: commit.spread(), ..counts }
    }
}

/// A name with its labels, and the value.
fn parse(line: &str) -> Option<(&str, f64)> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    Some((series, value.parse().ok()?))
}

/// The value of a label. Those that we make have no quotation marks in them.
fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let mut labels = series.split_once('{')?.1.split("\",");
    let found = labels.find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""))?;
    Some(found.trim_end_matches('}').trim_end_matches('"'))
}

/// What is a count, however it was written.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
pub(crate) fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_among_the_metrics() {
        let text = r#"# TYPE switchboard_sockets gauge
switchboard_sockets{protocol="chatto",transport="websocket"} 2
switchboard_sockets{protocol="chatto",transport="library"} 1
switchboard_sockets{protocol="shared",transport="websocket"} 4
switchboard_connections 9
switchboard_events_out_total{protocol="chatto",event="chat message"} 40
switchboard_events_out_total{protocol="tinychat",event="receive:message"} 2
switchboard_ack_seconds_bucket{protocol="chatto",event="chat message",le="0.001"} 3
switchboard_ack_seconds_bucket{protocol="chatto",event="chat message",le="0.01"} 4
switchboard_ack_seconds_bucket{protocol="chatto",event="chat message",le="+Inf"} 5
switchboard_ack_seconds_bucket{protocol="chatto",event="join room",le="0.001"} 70
switchboard_ack_seconds_bucket{protocol="tinychat",event="send:message",le="0.001"} 1
switchboard_ack_seconds_bucket{protocol="tinychat",event="send:message",le="0.01"} 1
switchboard_ack_seconds_bucket{protocol="tinychat",event="send:message",le="+Inf"} 1
switchboard_ack_seconds_sum{protocol="chatto",event="chat message"} 3.5
process_resident_memory_bytes 1048576
"#;
        let posts = [("chatto", "chat message"), ("tinychat", "send:message")];
        let counts = Counts::read(text, &posts);
        assert_eq!(counts.connections, 9.0);
        assert_eq!(counts.sockets["chatto"], 3.0);
        assert_eq!((counts.deliveries, counts.posts, counts.memory), (42.0, 0.0, 1_048_576.0));
        let cumulative = [(0.001, 4), (0.01, 5), (f64::INFINITY, 6)];
        assert_eq!(counts.ack, Spread::of_cumulative(cumulative));
        assert_eq!(counts.delivery.count(), 0);
    }
}
