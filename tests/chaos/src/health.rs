//! Samples of every replica's readiness, and of the gateways' repairs, while the seed runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use harness::Arena;
use tokio::time::sleep;

use crate::{books::Books, schedule::Target};

/// How often.
const EVERY: Duration = Duration::from_millis(250);

/// How long a replica may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Debug, Default)]
pub struct Health(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// When a replica said that it is ready; asked then.
    green: Vec<(Duration, Target)>,
    /// The newest answer of each.
    now: BTreeMap<Target, bool>,
    /// The counter's last value and the sum over all starts.
    repairs: BTreeMap<Target, (u64, u64)>,
}

impl Health {
    /// Every time at which a replica called itself ready.
    #[must_use]
    pub fn green(&self) -> Vec<(Duration, Target)> {
        self.seen(|seen| seen.green.clone())
    }

    /// Who was not ready when last asked.
    #[must_use]
    pub fn red_now(&self) -> Vec<Target> {
        self.seen(|seen| seen.now.iter().filter(|(_, ready)| !**ready).map(|(t, _)| *t).collect())
    }

    /// The repairs of all gateways.
    #[must_use]
    pub fn repairs(&self) -> u64 {
        self.seen(|seen| seen.repairs.values().map(|(_, sum)| sum).sum())
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks one replica again and again, for ever.
    pub async fn watch(self: Arc<Self>, arena: Arc<Arena>, books: Arc<Books>, target: Target) {
        let urls = arena.stack.urls();
        let admin = match target {
            Target::Gateway(n) => urls.gateway_admin(n),
            Target::Api(n) => urls.api_admin(n),
            Target::Redis | Target::Database => return,
        };
        let Ok(client) = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build() else {
            return;
        };
        loop {
            let asked = books.now();
            let answer = client.get(format!("{admin}/readyz")).send().await;
            let ready = answer.is_ok_and(|answer| answer.status().is_success());
            self.seen(|seen| {
                seen.now.insert(target, ready);
                seen.green.extend(ready.then_some((asked, target)));
            });
            if matches!(target, Target::Gateway(_))
                && let Ok(page) = client.get(format!("{admin}/metrics")).send().await
                && let Ok(page) = page.text().await
            {
                self.count_repairs(target, &page);
            }
            sleep(EVERY).await;
        }
    }

    fn count_repairs(&self, target: Target, page: &str) {
        let lines = page.lines().filter(|line| line.starts_with("switchboard_repairs_total"));
        let value = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        self.seen(|seen| {
            let (last, sum) = seen.repairs.entry(target).or_default();
            // A smaller value is a new process.
            *sum += if value >= *last { value - *last } else { value };
            *last = value;
        });
    }
}
