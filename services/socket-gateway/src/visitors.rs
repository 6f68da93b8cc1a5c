//! How many connections there are from each address.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::Code;
use dialects::address::Address;
use serde_json::json;

use crate::connections::KillSwitch;

/// How long who was turned away should wait.
const WORTH_A_TRY: Duration = Duration::from_secs(10);

/// Who asks us: the server leaves it with each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(pub SocketAddr);

/// Everybody's connections, by address. Clones share them.
#[derive(Clone, Debug)]
pub struct Visitors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trusted_hops: usize,
    /// 0: any number.
    most: u32,
    here: Mutex<HashMap<Address, u32>>,
}

impl Visitors {
    /// At most so many from each address; 0: any number.
    #[must_use]
    pub fn new(trusted_hops: usize, most: u32) -> Self {
        Self(Arc::new(Inner { trusted_hops, most, here: Mutex::default() }))
    }

    /// A place for one more from there, if there is one.
    pub(crate) fn enter(&self, from: Address) -> Option<Visit> {
        if self.0.most > 0 {
            let mut here = self.0.here.lock().unwrap_or_else(PoisonError::into_inner);
            let count = here.entry(from).or_default();
            if *count >= self.0.most {
                metrics::counter!("switchboard_limited_total", "what" => "address").increment(1);
                return None;
            }
            *count += 1;
        }
        Some(Visit { to: self.clone(), from })
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    to: Visitors,
    from: Address,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Inner { most, here, .. } = &*self.to.0;
        if *most == 0 {
            return;
        }
        let mut here = here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = here.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                here.remove(&self.from);
            }
        }
    }
}

/// Finds out where a request comes from. A new websocket takes a place for as long as its connection
/// lives; sockets that poll take theirs when they enter a namespace, and keep it when they go over to
/// a websocket.
pub(crate) async fn counted(
    State(visitors): State<Visitors>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(Caller(peer)) = request.extensions().get().copied() else {
        return next.run(request).await;
    };
    let from = Address::of(peer.ip(), request.headers(), visitors.0.trusted_hops);
    request.extensions_mut().insert(from);
    let switch = request.extensions().get::<KillSwitch>().cloned();
    let (Some(switch), true) = (switch, is_new_websocket(&request)) else {
        return next.run(request).await;
    };
    let Some(visit) = visitors.enter(from) else { return too_many() };
    // Before anybody answers: the connection may end while it is being served.
    switch.keep(visit);
    let response = next.run(request).await;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        switch.let_go();
    }
    response
}

fn is_new_websocket(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.headers().contains_key(header::UPGRADE)
        && !query.split('&').any(|pair| pair.starts_with("sid="))
}

fn too_many() -> Response {
    let body = json!({
        "error": "too many connections from your address, try again later",
        "code": Code::RateLimited.as_str(),
    });
    let after = HeaderValue::from(WORTH_A_TRY.as_secs());
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, after)], Json(body)).into_response()
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
        let visitors = Visitors::new(0, 2);
        let mut here: Vec<_> = (0..3).map(|_| visitors.enter(address(1))).collect();
        assert!(here[0].is_some() && here[1].is_some() && here[2].is_none());
        assert!(visitors.enter(address(2)).is_some());
        here.remove(0);
        assert!(visitors.enter(address(1)).is_some());
        here.clear();
        assert!(visitors.0.here.lock().expect("nobody panicked").is_empty());
    }

    #[test]
    fn nought_means_any_number() {
        let visitors = Visitors::new(0, 0);
        let all: Vec<_> = (0..1_000).map(|_| visitors.enter(address(1))).collect();
        assert!(all.iter().all(Option::is_some));
    }
}
