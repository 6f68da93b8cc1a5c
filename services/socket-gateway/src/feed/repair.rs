//! What is missing is asked for: after a hole, after the bus was away, and now and then by
//! comparing the heads of all followed conversations in one call. A lost publish costs latency,
//! never data.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use chat_core::{
    ConversationId, Result, Seq,
    chat::{CHANGES_MAX, DIRECTS_MAX},
    process::Backoff,
};
use futures_util::{StreamExt, stream};
use rand::RngExt;
use tokio::time::{sleep, timeout};

use super::{
    GatewayFeed,
    hub::{Claim, Hub, Outcome},
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

/// Calls for repair that one gateway has under way at a time.
pub(super) const CALLS: usize = 16;

/// How long who joins waits for a repair that others need as well.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Why something is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A change came before the one that should have come.
    Hole,
    /// The bus was away.
    Return,
    /// A comparison now and then found it.
    Comparison,
    /// Somebody joined who knew more, or before Redis confirmed the topic.
    Join,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::Return => "return",
            Self::Comparison => "comparison",
            Self::Join => "join",
        }
    }
}

/// Counts a call, and its failure. The caller tries again.
pub(super) fn counted<T>(verb: &'static str, answer: Result<T>) -> Result<T> {
    metrics::counter!("switchboard_repair_calls_total", "verb" => verb).increment(1);
    if let Err(error) = &answer {
        metrics::counter!("switchboard_repair_failures_total").increment(1);
        tracing::debug!(verb, error = %error as &dyn fmt::Display, "a repair must wait");
    }
    answer
}

impl GatewayFeed {
    /// Repairs unless the hole fills by itself, or somebody is at it. It goes on until nothing is
    /// missing or nobody follows the conversation, however long message-api is away.
    pub(super) fn repair_soon(&self, hub: &Arc<Hub>, reason: Reason) {
        #[cfg(feature = "sabotage")]
        if crate::sabotage::is("repair") {
            return;
        }
        let Some(feed) = self.me.upgrade() else { return };
        let Some(mut claim) = hub.claim() else { return };
        if reason == Reason::Hole {
            metrics::counter!("switchboard_holes_total").increment(1);
        }
        self.shutdown.spawn_until_stopped(async move {
            sleep(GRACE).await;
            if claim.missing_after().is_some() {
                metrics::counter!("switchboard_repairs_total", "reason" => reason.as_str())
                    .increment(1);
                feed.repair(claim).await;
            }
        });
    }

    async fn repair(&self, mut claim: Claim) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        while let Some(since) = claim.missing_after() {
            match self.missing_changes(&claim.hub, since).await {
                Ok(0) | Err(_) => backoff.wait().await,
                Ok(_) => backoff.reset(),
            }
        }
    }

    /// Asks for a page of changes and hands them on. Answers how many there were.
    async fn missing_changes(&self, hub: &Hub, since: Seq) -> Result<usize> {
        let _permit = self.calls.acquire().await;
        let page = self.chat.changes(hub.conversation, since, CHANGES_MAX).await;
        let page = counted("changes", page)?;
        let count = page.len();
        metrics::counter!("switchboard_repaired_changes_total").increment(count as u64);
        for change in page {
            hub.offer(change);
        }
        Ok(count)
    }

    /// Learns how far a conversation has come and waits a while for what is missing. Whatever
    /// can't be had by then comes as soon as it can.
    pub(super) async fn catch_up(&self, hub: &Arc<Hub>) {
        let heads = counted("heads", self.chat.heads(vec![hub.conversation]).await);
        let Ok(heads) = heads else { return };
        for (_, head) in heads {
            if hub.learn_head(head) != Outcome::Done {
                self.repair_soon(hub, Reason::Join);
                let _ = timeout(CATCH_UP, hub.repaired()).await;
            }
        }
    }

    /// Finds directs that began or went on without the gateway hearing of it.
    pub(super) async fn look_at_directs(&self, inbox: &Inbox, reason: Reason) -> Result<()> {
        let directs = self.chat.directs(&inbox.caller(), DIRECTS_MAX).await;
        for hub in inbox.look(&counted("directs", directs)?) {
            self.repair_soon(&hub, reason);
        }
        Ok(())
    }

    /// Looks at the directs of all users here, some at a time. Fails if it can't for some.
    pub(super) async fn look_at_all_directs(&self, reason: Reason) -> Result<()> {
        let inboxes: Vec<_> = self.inboxes().values().map(|(inbox, _)| Arc::clone(inbox)).collect();
        let looks = stream::iter(inboxes).map(|inbox| async move {
            let _permit = self.calls.acquire().await;
            self.look_at_directs(&inbox, reason).await
        });
        let outcomes: Vec<_> = looks.buffer_unordered(CALLS).collect().await;
        outcomes.into_iter().collect()
    }

    /// Looks at all users' directs by and by, for ever.
    pub(super) async fn look_at_directs_now_and_then(self: Arc<Self>) {
        loop {
            let pause = LOOK_EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            sleep(pause).await;
            // What can't be seen now is seen the next time.
            let _ = self.look_at_all_directs(Reason::Comparison).await;
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

    /// Compares the heads of all followed conversations with message-api, and begins the repairs.
    /// Answers the hubs that are behind.
    pub(super) async fn compare_heads(&self, reason: Reason) -> Result<Vec<Arc<Hub>>> {
        let followed = self.followed();
        let ids: Vec<ConversationId> = followed.keys().copied().collect();
        let mut behind = Vec::new();
        for batch in ids.chunks(BATCH) {
            for (conversation, head) in counted("heads", self.chat.heads(batch.to_vec()).await)? {
                for hub in followed.get(&conversation).into_iter().flatten() {
                    if hub.learn_head(head) != Outcome::Done {
                        self.repair_soon(hub, reason);
                        behind.push(Arc::clone(hub));
                    }
                }
            }
        }
        Ok(behind)
    }

    /// Compares heads, for ever.
    pub(super) async fn compare_heads_now_and_then(self: Arc<Self>) {
        loop {
            let pause = COMPARE_EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            sleep(pause).await;
            // What can't be compared now is compared the next time.
            let _ = self.compare_heads(Reason::Comparison).await;
        }
    }
}
