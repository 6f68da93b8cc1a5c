//! What is missing is asked for: after a hole, after a reconnect, and now and then by comparing
//! the heads of all followed conversations in one call. A lost publish costs latency, never data.

use std::{sync::Arc, time::Duration};

use chat_core::{ConversationId, Result, Seq, chat::CHANGES_MAX, process::Backoff};
use rand::RngExt;
use tokio::time::sleep;

use super::{
    GatewayFeed,
    hub::{Hub, Outcome},
};

/// How long a hole may fill by itself: publishes of two message-api replicas may cross.
const GRACE: Duration = Duration::from_millis(30);

/// How often heads are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// Conversations in one comparison.
const BATCH: usize = 1_000;

/// Pages that one repair asks for.
const ROUNDS: usize = 200;

impl GatewayFeed {
    /// Repairs unless the hole fills by itself.
    pub(super) fn repair_soon(&self, hub: Arc<Hub>) {
        let Some(feed) = self.me.upgrade() else { return };
        self.shutdown.spawn_until_stopped(async move {
            sleep(GRACE).await;
            feed.repair(&hub, false).await;
        });
    }

    /// Asks for what is missing, or for what may be if `doubtful`, until nothing is. While
    /// message-api can't answer it gives up; the next comparison tries again.
    pub(super) async fn repair(&self, hub: &Hub, doubtful: bool) {
        let Some(mut since) = hub.begin_repair(doubtful) else { return };
        if !doubtful {
            metrics::counter!("switchboard_repairs_total").increment(1);
        }
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        for _ in 0..ROUNDS {
            let Ok(page) = self.chat.changes(hub.conversation, since, CHANGES_MAX).await else {
                break;
            };
            let is_last = page.len() < CHANGES_MAX as usize;
            for change in page {
                hub.offer(change);
            }
            match hub.outcome() {
                Outcome::Missing(next) if next > since || !is_last => since = next,
                Outcome::Missing(_) => backoff.wait().await,
                Outcome::Done => break,
            }
        }
        hub.end_repair();
    }

    /// Where "from now on" begins.
    pub(super) async fn newest(&self, hub: &Hub) -> Result<Seq> {
        if let Some(delivered) = hub.delivered() {
            return Ok(delivered);
        }
        let heads = self.chat.heads(vec![hub.conversation]).await?;
        Ok(heads.first().map_or(Seq::START, |(_, head)| *head))
    }

    /// Compares heads before the time has come.
    pub(super) fn compare_heads_soon(&self) {
        self.compare.notify_one();
    }

    /// Compares the heads of all followed conversations with message-api, for ever.
    pub(super) async fn compare_heads_now_and_then(self: Arc<Self>) {
        loop {
            let pause = COMPARE_EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            tokio::select! { () = sleep(pause) => {}, () = self.compare.notified() => {} }
            let followed: Vec<ConversationId> = self.hubs().keys().copied().collect();
            for batch in followed.chunks(BATCH) {
                let Ok(heads) = self.chat.heads(batch.to_vec()).await else { break };
                for (conversation, head) in heads {
                    let Some(hub) = self.hub(conversation) else { continue };
                    if hub.learn_head(head) != Outcome::Done {
                        self.repair_soon(hub);
                    }
                }
            }
        }
    }
}
