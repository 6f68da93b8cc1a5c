//! What is missing is asked for: after a hole, after a reconnect, and now and then by comparing
//! the heads of all followed conversations in one call. A lost publish costs latency, never data.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chat_core::{
    ConversationId, Result, Seq,
    chat::{CHANGES_MAX, DIRECTS_MAX},
    process::Backoff,
};
use rand::RngExt;
use tokio::time::sleep;

use super::{
    GatewayFeed,
    hub::{Hub, Outcome},
    inbox::Inbox,
};

/// How long a hole may fill by itself: publishes of two message-api replicas may cross.
const GRACE: Duration = Duration::from_millis(30);

/// How often heads are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// How often all directs of the users here are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

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
        #[cfg(feature = "sabotage")]
        if crate::sabotage::is("repair") {
            return;
        }
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

    /// Finds directs that began or went on without the gateway hearing of it.
    pub(super) async fn look_at_directs(&self, inbox: &Inbox) -> Result<()> {
        let directs = self.chat.directs(&inbox.caller(), DIRECTS_MAX).await?;
        inbox.look(&directs).into_iter().for_each(|hub| self.repair_soon(hub));
        Ok(())
    }

    /// Looks at all users' directs by and by, for ever.
    pub(super) async fn look_at_directs_now_and_then(self: Arc<Self>) {
        loop {
            let pause = LOOK_EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            tokio::select! { () = sleep(pause) => {}, () = self.look.notified() => {} }
            let inboxes: Vec<_> =
                self.inboxes().values().map(|(inbox, _)| Arc::clone(inbox)).collect();
            for inbox in inboxes {
                if self.look_at_directs(&inbox).await.is_err() {
                    break;
                }
            }
        }
    }

    /// Where "from now on" begins.
    pub(super) async fn newest(&self, hub: &Hub) -> Result<Seq> {
        if let Some(delivered) = hub.delivered() {
            return Ok(delivered);
        }
        let heads = self.chat.heads(vec![hub.conversation]).await?;
        Ok(heads.first().map_or(Seq::START, |(_, head)| *head))
    }

    /// Every hub by its conversation; a direct may have one in each of its users' inboxes too.
    fn followed(&self) -> HashMap<ConversationId, Vec<Arc<Hub>>> {
        let mut followed: HashMap<_, Vec<_>> = HashMap::new();
        for (hub, _) in self.hubs().values() {
            followed.entry(hub.conversation).or_default().push(Arc::clone(hub));
        }
        for (inbox, _) in self.inboxes().values() {
            for hub in inbox.awake() {
                followed.entry(hub.conversation).or_default().push(hub);
            }
        }
        followed
    }

    /// Compares heads, and looks at directs, before the time has come.
    pub(super) fn compare_heads_soon(&self) {
        self.compare.notify_one();
        self.look.notify_one();
    }

    /// Compares the heads of all followed conversations with message-api, for ever.
    pub(super) async fn compare_heads_now_and_then(self: Arc<Self>) {
        loop {
            let pause = COMPARE_EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            tokio::select! { () = sleep(pause) => {}, () = self.compare.notified() => {} }
            let followed = self.followed();
            let ids: Vec<ConversationId> = followed.keys().copied().collect();
            for batch in ids.chunks(BATCH) {
                let Ok(heads) = self.chat.heads(batch.to_vec()).await else { break };
                for (conversation, head) in heads {
                    for hub in followed.get(&conversation).into_iter().flatten() {
                        if hub.learn_head(head) != Outcome::Done {
                            self.repair_soon(Arc::clone(hub));
                        }
                    }
                }
            }
        }
    }
}
