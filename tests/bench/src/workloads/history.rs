//! History: the newest page of the lobby against pages deep in it, by REST, one after the other.
//! The table is generated in bulk before the first run.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::Stage;
use crate::{
    figures::{Figures, histogram},
    targets::Target,
};

/// Rows in one INSERT.
const CHUNK: u64 = 100_000;
/// Messages in a page.
const PAGE: u64 = 50;
/// Pages are taken at random from so many messages around the depth.
const AROUND: u64 = 10_000;

/// Fills the lobby of a fresh stack with so many messages.
pub(crate) async fn fill(target: &Target, count: u64) -> Result<Table> {
    let stack = target.stack().context("history is measured at Switchboard")?;
    let mut database = MySqlConnection::connect(stack.urls().database()).await?;
    let sql = async |database: &mut MySqlConnection, statement: String| -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(database).await?;
        Ok(())
    };
    let mut first = 1;
    while first <= count {
        let last = (first + CHUNK - 1).min(count);
        let rows = format!(
            "INSERT INTO messages (conversation_id, seq, id, author_name, text, created_at) \
             SELECT 1, seq, seq, 'u1', CONCAT('message ', seq, ' ', REPEAT('x', 80)), UTC_TIMESTAMP(3) \
             FROM seq_{first}_to_{last}"
        );
        sql(&mut database, rows).await?;
        first = last + 1;
    }
    let head =
        format!("UPDATE conversations SET head = {count}, message_count = {count} WHERE id = 1");
    sql(&mut database, head).await?;
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
    let deep = || {
        let id = depth + rand::rng().random_range(0..AROUND.min(table.count / 4));
        format!("{url}&before={id}")
    };
    let mut figures = Figures::default();
    // One after the other, by turns, so that drift hits both.
    let (mut newest, mut at_depth) = (histogram(), histogram());
    let began = Instant::now();
    while began.elapsed() < length {
        let took = stage.runtime.block_on(get(&http, &url))?;
        newest.saturating_record(took);
        let took = stage.runtime.block_on(get(&http, &deep()))?;
        at_depth.saturating_record(took);
    }
    figures.put("newest_p50_ms", newest.value_at_quantile(0.5) as f64 / 1e6);
    figures.put("deep_p50_ms", at_depth.value_at_quantile(0.5) as f64 / 1e6);
    figures.put("newest_p99_ms", newest.value_at_quantile(0.99) as f64 / 1e6);
    figures.put("deep_p99_ms", at_depth.value_at_quantile(0.99) as f64 / 1e6);
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
