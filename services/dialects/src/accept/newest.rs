//! Room for so many connections: when there are more, the one that is there for longest goes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// The room. Who floods it drives out who flooded it before, and those who make themselves known at
/// once get through.
#[derive(Debug)]
pub struct Newest {
    most: usize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, CancellationToken>,
}

/// A connection's place; dropped, it is free again.
#[derive(Debug)]
pub struct Place {
    room: Arc<Newest>,
    number: u64,
    gone: CancellationToken,
    kept: CancellationToken,
}

impl Newest {
    /// For so many.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, places: Mutex::default() })
    }

    /// Takes a place; the oldest loses its own if there is none left.
    pub fn enter(self: &Arc<Self>) -> Place {
        let gone = CancellationToken::new();
        let mut places = self.places();
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, gone.clone());
        if places.taken.len() > self.most
            && let Some((_, oldest)) = places.taken.pop_first()
        {
            oldest.cancel();
        }
        Place { room: Arc::clone(self), number, gone, kept: CancellationToken::new() }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// From now on the connection needs no place, and nobody takes it.
    pub fn keep(&self) {
        if !self.kept.is_cancelled() {
            self.kept.cancel();
            self.room.places().taken.remove(&self.number);
        }
    }

    /// Waits until a newer one has taken it.
    pub async fn taken(&self) {
        self.gone.cancelled().await;
    }

    /// Waits until the connection is kept.
    pub async fn kept(&self) {
        self.kept.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_gone(place: &Place) -> bool {
        place.taken().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_goes_for_the_newest_and_who_is_kept_stays() {
        let room = Newest::new(2);
        let [kept, old] = [room.enter(), room.enter()];
        kept.keep();
        let new = room.enter();
        assert!(!is_gone(&kept) && !is_gone(&old) && !is_gone(&new));
        let newer = room.enter();
        assert!(is_gone(&old) && !is_gone(&kept) && !is_gone(&new) && !is_gone(&newer));
        assert!(kept.kept().now_or_never().is_some() && new.kept().now_or_never().is_none());
    }

    #[test]
    fn a_place_that_is_left_is_free() {
        let room = Newest::new(1);
        for _ in 0..100 {
            assert!(!is_gone(&room.enter()));
        }
        let last = room.enter();
        assert_eq!(room.places().taken.len(), 1);
        drop(last);
        assert!(room.places().taken.is_empty());
    }
}
