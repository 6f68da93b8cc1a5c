//! What comes in by polling is bounded: posts are taken only for sessions that there are, come whole
//! and in time before anybody looks at them, and have so much room together. Only so many sessions
//! begin at once, since those that never enter cost memory until the library gives them up.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::{Code, Limits};
use dialects::address::Address;
use serde_json::json;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use crate::{
    connections::{Connections, Sids},
    engine_io,
    refusal::{SOON, refused},
    sockets::ENTER_WITHIN,
    visitors,
};

/// How long a post may take to come.
const POST_WITHIN: Duration = Duration::from_secs(15);

/// The most sessions that begin in the time that a client has to enter.
const AT_ONCE: usize = 10_000;

/// Bytes of all posts that come in at once, and how long one may wait for its part. Those that are much
/// longer than an event may be, and are only told so, share as much among themselves.
const ROOM: usize = 32 * 1024 * 1024;
const ROOM_WITHIN: Duration = Duration::from_secs(5);

/// The longest answer that begins a session.
const GREETING_MAX: usize = 4 * 1024;

/// What posts are taken.
pub(crate) struct Polling {
    begun: Begun,
    connections: Arc<Connections>,
    event_max: usize,
    post_max: usize,
    room: Semaphore,
    room_of_long: Semaphore,
}

impl Polling {
    /// Posts as the limits have them.
    pub(crate) fn new(begun: Begun, connections: &Arc<Connections>, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            begun,
            connections: Arc::clone(connections),
            event_max: limits.event_max(),
            post_max: limits.frame_max(),
            room: Semaphore::new(ROOM),
            room_of_long: Semaphore::new(ROOM),
        })
    }

    /// Is there a session that may post? One that began a moment ago, or is in a namespace.
    fn knows(&self, sid: &str) -> bool {
        self.connections.is_polled(sid) || self.begun.knows(sid)
    }
}

/// The sessions that began by polling a moment ago: those of them that stay out are forgotten
/// after as long.
pub(crate) struct Begun {
    most: usize,
    most_of_one: usize,
    now: Mutex<Now>,
    greeted: Mutex<Sids>,
}

#[derive(Default)]
struct Now {
    oldest_first: VecDeque<(Instant, Address)>,
    by_address: HashMap<Address, usize>,
}

/// Why none may begin.
#[derive(Debug, PartialEq, Eq)]
enum Full {
    /// This address has begun too many.
    One,
    /// All together have.
    All,
}

impl Begun {
    /// In the time that a client has to enter as many as there is room for connections, and no more
    /// than cost little: 16 KiB each. Of these one address may begin as many as it may have, and no
    /// more than a quarter of all; 0: any number.
    pub(crate) fn new(connections: usize, per_address: u32) -> Self {
        let most = connections.min(AT_ONCE);
        let most_of_one = match per_address {
            0 => usize::MAX,
            some => (some as usize).min(most.div_ceil(4)),
        };
        Self { most, most_of_one, now: Mutex::default(), greeted: Mutex::default() }
    }

    fn greeted(&self) -> MutexGuard<'_, Sids> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, sid: &str) -> bool {
        self.greeted().contains(sid)
    }

    /// One more begins, if it may.
    fn take(&self, from: Address, now: Instant) -> Result<(), Full> {
        let mut begun = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let Now { oldest_first, by_address } = &mut *begun;
        while let Some((_, old)) = oldest_first.pop_front_if(|(at, _)| now - *at > ENTER_WITHIN) {
            if let Some(count) = by_address.get_mut(&old) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&old);
                }
            }
        }
        // First its own share: who has used that up takes nothing from others.
        if by_address.get(&from).is_some_and(|count| *count >= self.most_of_one) {
            return Err(Full::One);
        }
        if oldest_first.len() >= self.most {
            return Err(Full::All);
        }
        *by_address.entry(from).or_default() += 1;
        oldest_first.push_back((now, from));
        Ok(())
    }
}

/// Lets a polling request through, if it keeps to the bounds.
pub(crate) async fn bounded(
    State(polling): State<Arc<Polling>>,
    request: Request,
    next: Next,
) -> Response {
    if !engine_io::is_meant(&request) || engine_io::is_upgrade(&request) {
        return next.run(request).await;
    }
    if engine_io::begins(&request) {
        let from = request.extensions().get().copied();
        let from = from.unwrap_or_else(|| IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
        return match polling.begun.take(from, Instant::now()) {
            Ok(()) => polling.greeted(next.run(request).await).await,
            Err(Full::One) => {
                metrics::counter!("switchboard_limited_total", "what" => "address").increment(1);
                visitors::too_many()
            }
            Err(Full::All) => {
                metrics::counter!("switchboard_handshakes_put_off_total").increment(1);
                later("too many sessions begin at once, try again")
            }
        };
    }
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    if !engine_io::sid(&request).is_some_and(|sid| polling.knows(sid)) {
        return unknown();
    }
    match polling.whole(request).await {
        Ok((request, _room)) => next.run(request).await,
        Err(refusal) => refusal,
    }
}

impl Polling {
    /// Remembers whose session an answer begins.
    async fn greeted(&self, response: Response) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(greeting) = to_bytes(body, GREETING_MAX).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        if let Some(sid) = engine_io::named(&greeting) {
            self.begun.greeted().put(sid.to_owned(), Instant::now());
        }
        Response::from_parts(parts, Body::from(greeting))
    }

    /// The request with all of its body, and the room that it takes.
    async fn whole(
        &self,
        request: Request,
    ) -> Result<(Request, Option<SemaphorePermit<'_>>), Response> {
        let (parts, body) = request.into_parts();
        let size = body.size_hint();
        if size.lower() > self.post_max as u64 {
            return Err(self.too_large());
        }
        let size = size.upper().map_or(self.post_max, |size| size as usize);
        let all = if size > 2 * self.event_max { &self.room_of_long } else { &self.room };
        let room = timeout(ROOM_WITHIN, all.acquire_many(size as u32)).await;
        let Ok(room) = room else { return Err(later("too much comes in at once, try again")) };
        match timeout(POST_WITHIN, to_bytes(body, self.post_max)).await {
            Ok(Ok(bytes)) => Ok((Request::from_parts(parts, Body::from(bytes)), room.ok())),
            Ok(Err(_)) => Err(self.too_large()),
            Err(_) => {
                Err((StatusCode::REQUEST_TIMEOUT, "the post came too slowly").into_response())
            }
        }
    }

    fn too_large(&self) -> Response {
        let sentence = format!("a post has at most {} bytes, all of which come", self.post_max);
        (StatusCode::PAYLOAD_TOO_LARGE, sentence).into_response()
    }
}

/// In the words of Engine.IO. Nothing of the body is read.
fn unknown() -> Response {
    let words = json!({"code": 1, "message": "Session ID unknown"});
    (StatusCode::BAD_REQUEST, Json(words)).into_response()
}

fn later(sentence: &'static str) -> Response {
    refused(Code::Unavailable, sentence, SOON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Address {
        IpAddr::from([203, 0, 113, last]).into()
    }

    #[test]
    fn so_many_sessions_begin_in_the_time_that_they_have_to_enter() {
        let (begun, now) = (Begun::new(2, 0), Instant::now());
        let take = |at| begun.take(address(1), at);
        assert!(take(now).is_ok() && take(now).is_ok());
        assert_eq!(take(now + ENTER_WITHIN), Err(Full::All));
        let later = now + ENTER_WITHIN + Duration::from_millis(1);
        assert!(take(later).is_ok() && take(later).is_ok());
        assert_eq!(take(later), Err(Full::All));
        assert_eq!(begun.now.lock().expect("a lock").oldest_first.len(), 2);
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let (begun, now) = (Begun::new(8, 100), Instant::now());
        assert!(begun.take(address(1), now).is_ok() && begun.take(address(1), now).is_ok());
        for _ in 0..100 {
            assert_eq!(begun.take(address(1), now), Err(Full::One));
        }
        for last in 2..5 {
            assert!(
                begun.take(address(last), now).is_ok() && begun.take(address(last), now).is_ok()
            );
        }
        assert_eq!(begun.take(address(9), now), Err(Full::All));
        let later = now + ENTER_WITHIN + Duration::from_millis(1);
        assert!(begun.take(address(1), later).is_ok());
        assert_eq!(begun.now.lock().expect("a lock").by_address.len(), 1);
    }
}
