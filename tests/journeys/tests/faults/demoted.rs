//! Redis becomes a replica while its connections stay open.

use anyhow::{Result, ensure};
use harness::Arena;
use redis_link::{Line, Redis};

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_refused_a_write_goes_by_a_new_connection() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("redis-demoted")?).await?;
    let urls = arena.stack.urls();
    let url = urls.redis();
    let mut admin = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let redis = Redis::single(url, "demoted").map_err(anyhow::Error::msg)?;
    for (way, mut line) in [("steady", Line::steady(&redis)), ("pooled", Line::pooled(&redis, 2))]
        .map(|(way, mut lines)| (way, lines.remove(0)))
    {
        let by =
            async |line: &mut Line| redis::cmd("CLIENT").arg("ID").query_async::<u64>(line).await;
        let set = redis::cmd("SET").arg("demoted:key").arg(1).to_owned();
        set.exec_async(&mut line).await?;
        let mut before = by(&mut line).await?;
        ensure!(by(&mut line).await? == before, "{way}: one connection while all is well");
        redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).exec_async(&mut admin).await?;
        let mut pipeline = redis::pipe();
        pipeline.cmd("PUBLISH").arg("demoted:channel").arg(1).add_command(set.clone());
        for attempt in ["command", "pipeline"] {
            let refused = match attempt {
                "command" => set.exec_async(&mut line).await,
                _ => pipeline.exec_async(&mut line).await,
            };
            let refused = refused.expect_err("a replica takes no writes");
            assert_eq!(refused.code(), Some("READONLY"), "{way}, {attempt}: {refused}");
            let after = by(&mut line).await?;
            assert_ne!(after, before, "{way}, {attempt}: the same connection");
            before = after;
        }
        redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut admin).await?;
        set.exec_async(&mut line).await?;
    }
    Ok(())
}
