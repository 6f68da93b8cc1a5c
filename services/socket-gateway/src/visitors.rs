//! Where those come from who connect, and how many from each address.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::Code;
use dialects::{
    address::Address,
    places::{Place, Places},
};

use crate::{
    connections::KillSwitch,
    engine_io,
    refusal::refused,
    sockets::is_ours,
    stays::{Begins, Carried, Stays},
};

/// How long who was turned away should wait.
const WORTH_A_TRY: Duration = Duration::from_secs(10);

/// The longest greeting of a session that begins.
const GREETING: u64 = 4 * 1024;

/// Who asks us: the server leaves it with each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(pub SocketAddr);

/// What a websocket keeps for as long as its connection is open.
#[expect(dead_code, reason = "held, not read")]
pub(crate) enum Visit {
    /// A place of its own.
    Own(Place),
    /// The place of the session that came over to it.
    Shared(Carried),
}

/// Everybody who is here. Clones share it.
#[derive(Clone)]
pub(crate) struct Visitors {
    trusted_hops: usize,
    places: Places,
    stays: Arc<Stays>,
}

impl Visitors {
    /// At most so many websockets, and sessions that poll, from each address; 0: any number.
    pub(crate) fn new(trusted_hops: usize, most: u32, stays: Arc<Stays>) -> Self {
        Self { trusted_hops, places: Places::new(most, "address"), stays }
    }
}

/// Finds out where a request comes from. A new websocket takes a place for as long as its connection
/// lives, a session that begins by polling for as long as the library knows it; the websocket that
/// it goes over to shares its place.
pub(crate) async fn counted(
    State(visitors): State<Visitors>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(Caller(peer)) = request.extensions().get().copied() else {
        return next.run(request).await;
    };
    let from = Address::of(peer.ip(), request.headers(), visitors.trusted_hops);
    request.extensions_mut().insert(from);
    let switch = request.extensions().get::<KillSwitch>().cloned();
    match switch.filter(|_| engine_io::is_upgrade(&request)) {
        Some(switch) => websocket(&visitors, from, switch, request, next).await,
        None if engine_io::begins(&request) => polling(&visitors, from, request, next).await,
        None => next.run(request).await,
    }
}

async fn websocket(
    visitors: &Visitors,
    from: Address,
    switch: KillSwitch,
    mut request: Request,
    next: Next,
) -> Response {
    let sid = engine_io::sid(&request).filter(|_| engine_io::is_meant(&request));
    let stay = sid.and_then(|sid| visitors.stays.of(sid));
    let shared = stay.as_ref().and_then(|stay| stay.carried());
    let own = || visitors.places.enter(from).map(Visit::Own);
    let Some(visit) = shared.map(Visit::Shared).or_else(own) else { return too_many() };
    if let Some(stay) = stay {
        request.extensions_mut().insert(stay);
    } else if engine_io::begins(&request) && !is_ours(&request) {
        let stay = visitors.stays.begin(Begins::Websocket(switch.clone()));
        request.extensions_mut().insert(stay);
    }
    // Before anybody answers: the connection may end while it is being served.
    switch.keep(visit);
    let response = next.run(request).await;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        switch.let_go();
    }
    response
}

async fn polling(visitors: &Visitors, from: Address, mut request: Request, next: Next) -> Response {
    let Some(place) = visitors.places.enter(from) else { return too_many() };
    let stay = visitors.stays.begin(Begins::Polling(place));
    request.extensions_mut().insert(Arc::clone(&stay));
    let response = next.run(request).await;
    let length = response.body().size_hint().upper();
    if response.status() != StatusCode::OK || length.is_none_or(|length| length > GREETING) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(greeting) = to_bytes(body, GREETING as usize).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if let Some(sid) = engine_io::named(&greeting) {
        stay.is_named(sid);
    }
    Response::from_parts(parts, Body::from(greeting))
}

/// The refusal for who has too many already.
pub(crate) fn too_many() -> Response {
    let sentence = "too many connections from your address, try again later";
    refused(Code::RateLimited, sentence, WORTH_A_TRY)
}
