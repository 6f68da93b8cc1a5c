//! What `/metrics` shows is what deploy/METRICS.md says. `UPDATE_METRICS=1 cargo test --workspace
//! --test telemetry table` writes that file's tables anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Parser;
use journeys::rest::Site;
use serde_json::json;
use telemetry::metrics::{COMMON, Kind, Metric};

use crate::{enters_002, opens, watched};

const TABLES: [(&str, &[Metric]); 3] = [
    ("both", COMMON),
    ("socket-gateway", socket_gateway::counts::TABLE),
    ("message-api", message_api::counts::TABLE),
];

#[derive(Parser)]
struct Settings {
    /// Write the tables instead of comparing them
    #[arg(env = "UPDATE_METRICS", long)]
    update: Option<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_table_says_what_the_code_says() -> Result<()> {
    let path = root().join("deploy/METRICS.md");
    let before = fs::read_to_string(&path)?;
    let mut after = before.clone();
    for (name, metrics) in TABLES {
        let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let (head, rest) = after.split_once(&open).with_context(|| format!("no {open}"))?;
        let (_, tail) = rest.split_once(&close).with_context(|| format!("no {close}"))?;
        after = format!("{head}{open}{}{close}{tail}", table(metrics));
    }
    if Settings::try_parse_from(["metrics"])?.update.is_some() {
        fs::write(&path, &after)?;
    } else {
        assert!(before == after, "deploy/METRICS.md is out of date: run with UPDATE_METRICS=1");
    }
    Ok(())
}

fn table(metrics: &[Metric]) -> String {
    let mut text = "| metric | kind | labels | what it means |\n|---|---|---|---|\n".to_owned();
    for (name, kind, labels, meaning) in metrics {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ =
            writeln!(text, "| `{name}` | {} | {} | {meaning} |", word(*kind), labels.join(", "));
    }
    text
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

/// What the sources count, by the macro's kind.
fn in_sources(folder: &Path, found: &mut BTreeSet<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            in_sources(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path)?;
            for kind in ["counter", "gauge", "histogram"] {
                for after in text.split(&format!("metrics::{kind}!(")).skip(1) {
                    let name =
                        after.trim_start().strip_prefix('"').and_then(|n| n.split('"').next());
                    let name =
                        name.with_context(|| format!("{}: a name that varies", path.display()))?;
                    found.insert((name.to_owned(), kind.to_owned()));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_code_counts_what_the_table_says_and_nothing_else() -> Result<()> {
    let mut found = BTreeSet::new();
    in_sources(&root().join("services"), &mut found)?;
    let all = TABLES.iter().flat_map(|(_, metrics)| metrics.iter());
    let said: BTreeSet<_> =
        all.map(|(name, kind, ..)| ((*name).to_owned(), word(*kind).to_owned())).collect();
    let differ: Vec<_> = found.symmetric_difference(&said).collect();
    assert!(differ.is_empty(), "in the code or in a table alone: {differ:?}");
    Ok(())
}

/// A scrape: the kind, the words and the labels of each metric.
#[derive(Debug, Default)]
struct Seen {
    kind: String,
    has_help: bool,
    labels: BTreeSet<String>,
    values: usize,
}

fn read(scrape: &str) -> BTreeMap<String, Seen> {
    let mut all = BTreeMap::<String, Seen>::new();
    for line in scrape.lines().filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match *words {
            ["#", "HELP", name, help] => {
                all.entry(name.to_owned()).or_default().has_help = !help.is_empty();
            }
            ["#", "TYPE", name, kind] => {
                all.entry(name.to_owned()).or_default().kind = kind.to_owned();
            }
            _ => {
                let (name, rest) = line.split_once(['{', ' ']).unwrap_or((line, ""));
                let ends = ["", "_bucket", "_sum", "_count"];
                let mut known = ends.iter().filter_map(|end| name.strip_suffix(end));
                let name = known.rfind(|name| all.contains_key(*name)).unwrap_or(name);
                let seen = all.entry(name.to_owned()).or_default();
                seen.values += 1;
                if let Some((labels, _)) = rest.split_once("} ").filter(|_| line.contains('{')) {
                    let names = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
                    seen.labels.extend(names.map(|(name, _)| name.to_owned()));
                }
            }
        }
    }
    all
}

async fn scrape(url: &str) -> Result<String> {
    Ok(reqwest::get(format!("{url}/metrics")).await?.error_for_status()?.text().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scraped_is_what_the_table_says() -> Result<()> {
    let arena = &watched().await?.arena;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (on_1, _on_2) = (alice.enters(1).await?, bob.enters(1).await?);
    let room = &on_1.makes_room(&arena.unique("room")).await?;
    on_1.joins(room).await?;
    for n in 0..5 {
        on_1.says(room, &format!("line {n}")).await?;
    }
    on_1.reads("line 4").await?;
    on_1.asks("made up by a client", json!({})).await?;
    let alices = enters_002(arena, &alice, 1).await?;
    opens(&alices, &bob).await?;
    let plain = alice.watches(1, room).await?;
    Site::at(arena.stack.urls().api(1)).get("/api/no/such/route").await;
    plain.sends(&json!({"text": ""}));
    plain.hears("error", |_| true).await?;

    let urls = arena.stack.urls();
    let (gateway, api) = (scrape(&urls.gateway_admin(1)).await?, scrape(&urls.api_admin(1)).await?);
    for (text, table) in [(&gateway, TABLES[1].1), (&api, TABLES[2].1)] {
        let seen = read(text);
        let table: Vec<_> = table.iter().chain(COMMON).collect();
        for (name, Seen { kind, has_help, labels, .. }) in &seen {
            assert!(*has_help, "{name} has no words");
            let Some(name) = name.strip_prefix("switchboard_") else {
                assert!(name.starts_with("process_"), "{name}");
                continue;
            };
            let said =
                table.iter().find(|(said, ..)| said.strip_prefix("switchboard_") == Some(name));
            let (_, said, wanted, _) = said.with_context(|| format!("{name} is in no table"))?;
            assert_eq!(kind, word(*said), "{name}");
            let allowed = |label: &String| wanted.contains(&&**label) || label == "le";
            assert!(labels.iter().all(allowed), "{name}: {labels:?}");
        }
        for name in
            ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"]
        {
            assert!(seen.get(name).is_some_and(|seen| seen.values == 1), "{name}");
        }
    }
    // What was done just now was counted.
    for line in [
        "switchboard_events_in_total{protocol=\"chatto\",event=\"chat message\"}",
        "switchboard_events_in_total{protocol=\"none\",event=\"unknown\"}",
        "switchboard_events_out_total{protocol=\"chatto\",event=\"chat message\"}",
        "switchboard_ack_seconds_count{protocol=\"one-to-one\",event=\"chatHistory\"}",
        "switchboard_ack_seconds_bucket{protocol=\"conversations\",event=\"post\",le=\"0.5\"}",
        "switchboard_delivery_seconds_count",
        "switchboard_sockets{protocol=\"shared\",transport=\"websocket\"}",
        "switchboard_sockets{protocol=\"conversations\",transport=\"plain\"}",
        "switchboard_build_info{service=\"socket-gateway\"",
    ] {
        assert!(value(&gateway, line) > 0.0, "{line} in {gateway}");
    }
    for line in [
        "switchboard_grpc_call_seconds_count{method=\"PostMessages\"}",
        "switchboard_grpc_call_seconds_count{method=\"CreateRoom\"}",
        "switchboard_http_request_seconds_count{method=\"POST\",route=\"/api/register\"}",
        "switchboard_http_request_seconds_count{method=\"GET\",route=\"none\"}",
        "switchboard_pool_wait_seconds_count{pool=\"mysql\"}",
        "switchboard_commit_posts_count",
        "switchboard_spans_sent_total",
    ] {
        assert!(value(&api, line) > 0.0, "{line} in {api}");
    }
    Ok(())
}

/// The sum of all values whose lines begin so.
fn value(scrape: &str, begin: &str) -> f64 {
    let values = scrape.lines().filter(|line| line.starts_with(begin));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
