//! Latency against load as SVG, both axes logarithmic: p99 solid, p50 dashed.

use std::fmt::Write;

use crate::{
    figures::Results,
    targets::Kind,
    workloads::{LATENCY_RATES, all},
};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
/// Of the plot itself.
const INNER: (f64, f64) = (520.0, 360.0);
/// Milliseconds at the lower and the upper edge.
const RANGE: (f64, f64) = (0.1, 10_000.0);

const COLOURS: [(Kind, &str); 5] = [
    (Kind::Switchboard, "#0b6e4f"),
    (Kind::Node, "#c8553d"),
    (Kind::Eiows, "#e6a117"),
    (Kind::Socketioxide, "#3d5a98"),
    (Kind::Bare, "#888888"),
];

/// The plot; none if fewer than two rates were measured.
pub(super) fn latency(results: &Results) -> Option<String> {
    let rates = LATENCY_RATES
        .into_iter()
        .filter(|rate| results.workloads().iter().any(|name| *name == workload(*rate)));
    if rates.count() < 2 {
        return None;
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\">Latency (ms) against deliveries a second, rooms of 100; \
         p99 solid, p50 dashed</text>\n"
    );
    axes(&mut svg);
    for (place, (kind, colour)) in COLOURS.iter().enumerate() {
        let p99 = line(results, *kind, "p99_ms");
        if p99.is_empty() {
            continue;
        }
        let p50 = line(results, *kind, "p50_ms");
        let style = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"");
        let _ = writeln!(svg, "<polyline points=\"{p99}\" {style}/>");
        let _ = writeln!(svg, "<polyline points=\"{p50}\" {style} stroke-dasharray=\"5 4\"/>");
        let (x, y) = (LEFT + INNER.0 + 20.0, TOP + 20.0 + 20.0 * place as f64);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>", kind.name());
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn workload(rate: u64) -> &'static str {
    let name = format!("latency-{:03}k", rate / 1_000);
    all().iter().map(|workload| workload.name).find(|other| **other == *name).unwrap_or_default()
}

fn axes(svg: &mut String) {
    let grey = "stroke=\"#dddddd\"";
    let (right, bottom) = (LEFT + INNER.0, TOP + INNER.1);
    let mut ms = RANGE.0;
    while ms <= RANGE.1 * 1.01 {
        let y = height_of(ms);
        let _ = writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{right}\" {grey}/>");
        let (x, y) = (LEFT - 8.0, y + 4.0);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{ms:.1}</text>");
        ms *= 10.0;
    }
    for rate in LATENCY_RATES {
        let (x, y) = (place_of(rate), bottom + 18.0);
        let _ = writeln!(svg, "<path d=\"M{x:.1} {TOP}V{bottom}\" {grey}/>");
        let label = rate / 1_000;
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}k</text>");
    }
}

fn line(results: &Results, kind: Kind, figure: &'static str) -> String {
    let point = |rate| {
        let ms = results.get(workload(rate), kind, figure)?.median;
        Some(format!("{:.1},{:.1}", place_of(rate), height_of(ms)))
    };
    LATENCY_RATES.into_iter().filter_map(point).collect::<Vec<_>>().join(" ")
}

fn place_of(rate: u64) -> f64 {
    let (least, most) = (LATENCY_RATES[0] as f64, LATENCY_RATES[LATENCY_RATES.len() - 1] as f64);
    LEFT + INNER.0 * (rate as f64 / least).ln() / (most / least).ln()
}

fn height_of(ms: f64) -> f64 {
    let share = (ms.clamp(RANGE.0, RANGE.1) / RANGE.0).ln() / (RANGE.1 / RANGE.0).ln();
    TOP + INNER.1 * (1.0 - share)
}
