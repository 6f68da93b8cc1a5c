//! History: the newest page of the lobby against pages deep in it, by REST, one after the other.
//! The table is generated in bulk before the first run, and is many times larger than MariaDB's
//! buffer pool: pages around one depth are soon in it, pages anywhere are read from the disk.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::Stage;
use crate::{
    figures::{Figures, histogram},
    targets::Target,
};

/// Messages in a page.
const PAGE: u64 = 50;
/// Pages are taken at random from so many messages around the depth.
const AROUND: u64 = 10_000;

/// Fills the lobby of a fresh stack with so many messages.
pub(crate) async fn fill(target: &Target, count: u64) -> Result<Table> {
    let stack = target.stack().context("history is measured at Switchboard")?;
    let mut database = MySqlConnection::connect(stack.urls().database()).await?;
    // Into an empty table, unchecked, in one statement: MariaDB then builds its pages in bulk.
    let filling = format!(
        "SET unique_checks = 0, foreign_key_checks = 0; \
         INSERT INTO messages (conversation_id, seq, id, author_name, text, created_at) \
         SELECT 1, seq, seq, 'u1', CONCAT('message ', seq, ' ', REPEAT('x', 80)), UTC_TIMESTAMP(3) \
         FROM seq_1_to_{count}; \
         UPDATE conversations SET head = {count}, message_count = {count} WHERE id = 1"
    );
    sqlx::raw_sql(AssertSqlSafe(filling)).execute(&mut database).await?;
    Ok(Table { count })
}

/// A filled lobby, in which a message's id is its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    count: u64,
}

/// The newest page, and pages in the middle.
pub(crate) fn pages(stage: &mut Stage<'_>, table: Table) -> Result<Figures> {
    let stack = stage.target.stack().context("history is measured at Switchboard")?;
    let url = format!("{}/api/v1/messages?limit={PAGE}", stack.urls().api(1));
    let http = reqwest::Client::new();
    let length = Duration::from_nanos(stage.scale.measure);
    let depth = table.count / 2;
    let before = |id: u64| format!("{url}&before={id}");
    let around = || before(depth + rand::rng().random_range(0..AROUND.min(table.count / 4)));
    let anywhere = || before(rand::rng().random_range(PAGE + 1..=table.count));
    let alternate = |length: Duration, deep: &dyn Fn() -> String| -> Result<_> {
        // One after the other, by turns, so that drift hits both.
        let (mut newest, mut at_depth) = (histogram(), histogram());
        let began = Instant::now();
        while began.elapsed() < length {
            newest.saturating_record(stage.runtime.block_on(get(&http, &url))?);
            at_depth.saturating_record(stage.runtime.block_on(get(&http, &deep()))?);
        }
        Ok((newest, at_depth))
    };
    alternate(length / 4, &around)?;
    let (newest, deep) = alternate(length, &around)?;
    let (_, cold) = alternate(length / 2, &anywhere)?;
    let mut figures = Figures::default();
    for (name, pages, quantile) in [
        ("newest_p50_ms", &newest, 0.5),
        ("deep_p50_ms", &deep, 0.5),
        ("cold_p50_ms", &cold, 0.5),
        ("newest_p99_ms", &newest, 0.99),
        ("deep_p99_ms", &deep, 0.99),
        ("cold_p99_ms", &cold, 0.99),
    ] {
        figures.put(name, pages.value_at_quantile(quantile) as f64 / 1e6);
    }
    Ok(figures)
}

/// Nanoseconds that a page took.
async fn get(http: &reqwest::Client, url: &str) -> Result<u64> {
    let began = Instant::now();
    let answer = http.get(url).send().await?.error_for_status()?.text().await?;
    let took = began.elapsed();
    let rows = memchr::memmem::find_iter(answer.as_bytes(), b"\"content\"").count();
    ensure!(rows as u64 == PAGE, "a page of {rows} messages instead of {PAGE}");
    Ok(u64::try_from(took.as_nanos())?)
}
