//! The names that guests go by here. When somebody registers one, whoever wore it before goes: from
//! then on the name stands for its owner.
//!
//! The notice comes over the bus within milliseconds. What the bus loses while it is away is asked
//! for when it is back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chat_core::{Chat, CloseReason, Code, Follow, Sink, Username};
use tokio::sync::Notify;

/// The sockets that wear a name.
struct Wearers {
    name: Username,
    sinks: HashMap<u64, Arc<dyn Sink>>,
}

/// The guests of this gateway by name, in any letter case.
#[derive(Default)]
pub(crate) struct Guests {
    by_key: Mutex<HashMap<String, Wearers>>,
    next: AtomicU64,
    compare: Notify,
}

impl Guests {
    fn by_key(&self) -> MutexGuard<'_, HashMap<String, Wearers>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket goes by this name until the answer is dropped. Before it is asked whether it may:
    /// so no registration comes between.
    pub(crate) fn wear(self: &Arc<Self>, name: &Username, sink: Arc<dyn Sink>) -> Follow {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let key = name.key();
        let nobody = || Wearers { name: name.clone(), sinks: HashMap::new() };
        self.by_key().entry(key.clone()).or_insert_with(nobody).sinks.insert(number, sink);
        let guests = Arc::clone(self);
        Follow::new(move || {
            let mut by_key = guests.by_key();
            if let Some(wearers) = by_key.get_mut(&key) {
                wearers.sinks.remove(&number);
                if wearers.sinks.is_empty() {
                    by_key.remove(&key);
                }
            }
        })
    }

    /// Somebody has registered this name: closes the sockets of guests who wear it.
    pub(crate) fn registered(&self, name: &Username) {
        let gone = self.by_key().remove(&name.key());
        for sink in gone.iter().flat_map(|wearers| wearers.sinks.values()) {
            sink.close(CloseReason::NameTaken);
        }
    }

    /// Notices may have been lost: asks soon.
    pub(crate) fn compare_soon(&self) {
        self.compare.notify_one();
    }

    /// Asks message-api about all names whenever notices may have been lost, for ever.
    pub(crate) async fn run(self: Arc<Self>, chat: Arc<dyn Chat>) {
        loop {
            self.compare.notified().await;
            let worn: Vec<_> = self.by_key().values().map(|worn| worn.name.clone()).collect();
            for name in worn {
                // One after the other: there is no hurry. If message-api can't tell, nobody goes.
                match chat.admit_guest(name.clone()).await {
                    Err(error) if error.code() == Code::UsernameTaken => self.registered(&name),
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use chat_core::Frame;

    use super::*;

    #[derive(Default)]
    struct Ear(Mutex<Vec<CloseReason>>);

    #[async_trait]
    impl Sink for Ear {
        fn deliver(&self, _: &Frame) {}
        async fn has_room(&self) {}
        fn close(&self, reason: CloseReason) {
            self.0.lock().expect("a lock").push(reason);
        }
    }

    #[test]
    fn who_wears_a_name_goes_when_it_is_registered_and_nobody_else() {
        let name = |raw| Username::parse(raw).expect("a name");
        let guests = Arc::<Guests>::default();
        let [zoe, gone, other] = [(); 3].map(|()| Arc::<Ear>::default());
        let wear = |raw, ear: &Arc<Ear>| guests.wear(&name(raw), Arc::clone(ear) as Arc<_>);
        let (_zoe, gone_too, _other) =
            (wear("zoe", &zoe), wear("ZOE", &gone), wear("zoey", &other));
        drop(gone_too);
        guests.registered(&name("Zoe"));
        guests.registered(&name("Zoe"));
        let heard = [zoe, gone, other].map(|ear| ear.0.lock().expect("a lock").len());
        assert_eq!(heard, [1, 0, 0]);
        drop((_zoe, _other));
        assert!(guests.by_key().is_empty());
    }
}
