//! So many places for each address.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::address::Address;

/// Who is here, by address. Clones share it.
#[derive(Clone, Debug)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// 0: any number.
    most: u32,
    what: &'static str,
    taken: Mutex<HashMap<Address, u32>>,
}

impl Inner {
    fn taken(&self) -> MutexGuard<'_, HashMap<Address, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// So many for each address; 0: any number. `what` they are, as `switchboard_limited_total`
    /// counts those who got none.
    #[must_use]
    pub fn new(most: u32, what: &'static str) -> Self {
        Self(Arc::new(Inner { most, what, taken: Mutex::default() }))
    }

    /// A place for one more from there, if there is one.
    #[must_use]
    pub fn enter(&self, from: Address) -> Option<Place> {
        if self.0.most == 0 {
            return Some(Place(None));
        }
        let mut taken = self.0.taken();
        let count = taken.entry(from).or_default();
        if *count >= self.0.most {
            metrics::counter!("switchboard_limited_total", "what" => self.0.what).increment(1);
            return None;
        }
        *count += 1;
        Some(Place(Some((self.clone(), from))))
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Place(Option<(Places, Address)>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, from)) = &self.0 else { return };
        let mut taken = places.0.taken();
        if let Some(count) = taken.get_mut(from) {
            *count -= 1;
            if *count == 0 {
                taken.remove(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn address(last: u8) -> Address {
        IpAddr::from([203, 0, 113, last]).into()
    }

    #[test]
    fn each_address_has_so_many_places_and_who_goes_leaves_one() {
        let places = Places::new(2, "address");
        let mut here: Vec<_> = (0..3).map(|_| places.enter(address(1))).collect();
        assert!(here[0].is_some() && here[1].is_some() && here[2].is_none());
        assert!(places.enter(address(2)).is_some());
        here.remove(0);
        assert!(places.enter(address(1)).is_some());
        here.clear();
        assert!(places.0.taken().is_empty());
    }

    #[test]
    fn nought_means_any_number() {
        let places = Places::new(0, "address");
        let all: Vec<_> = (0..1_000).map(|_| places.enter(address(1))).collect();
        assert!(all.iter().all(Option::is_some));
    }
}
