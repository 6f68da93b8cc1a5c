//! What comes in by polling is bounded: posts are taken only for sessions that there are, come whole
//! and in time before anybody looks at them, and have so much room together. Only so many sessions
//! begin at once, since those that never enter cost memory until the library gives them up.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use crate::{
    connections::{Connections, Sids},
    sockets::ENTER_WITHIN,
};

/// How long a post may take to come.
const POST_WITHIN: Duration = Duration::from_secs(15);

/// The most sessions that begin in the time that a client has to enter.
const AT_ONCE: usize = 10_000;

/// Bytes of all posts that come in at once, and how long one may wait for its part.
const ROOM: usize = 32 * 1024 * 1024;
const ROOM_WITHIN: Duration = Duration::from_secs(5);

/// The longest answer that begins a session.
const GREETING_MAX: usize = 4 * 1024;

/// What posts are taken.
pub(crate) struct Polling {
    begun: Begun,
    connections: Arc<Connections>,
    post_max: usize,
    room: Semaphore,
}

impl Polling {
    /// Posts of so many bytes at the most.
    pub(crate) fn new(most: usize, connections: &Arc<Connections>, post_max: usize) -> Arc<Self> {
        let (begun, connections) = (Begun::new(most), Arc::clone(connections));
        Arc::new(Self { begun, connections, post_max, room: Semaphore::new(ROOM) })
    }

    /// Is there a session that may post? One that began a moment ago, or is in a namespace.
    fn knows(&self, sid: &str) -> bool {
        self.connections.is_polled(sid) || self.begun.knows(sid)
    }
}

/// The sessions that began by polling a moment ago: those of them that stay out are forgotten
/// after as long.
struct Begun {
    most: usize,
    oldest_first: Mutex<VecDeque<Instant>>,
    greeted: Mutex<Sids>,
}

impl Begun {
    /// In the time that a client has to enter as many as there is room for connections, and no more
    /// than cost little: 16 KiB each.
    fn new(connections: usize) -> Self {
        let most = connections.min(AT_ONCE);
        Self { most, oldest_first: Mutex::default(), greeted: Mutex::default() }
    }

    fn greeted(&self) -> MutexGuard<'_, Sids> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, sid: &str) -> bool {
        self.greeted().contains(sid)
    }

    /// May one more begin? If so, it counts.
    fn takes_one_more(&self, now: Instant) -> bool {
        let mut begun = self.oldest_first.lock().unwrap_or_else(PoisonError::into_inner);
        while begun.pop_front_if(|at| now - *at > ENTER_WITHIN).is_some() {}
        let may = begun.len() < self.most;
        if may {
            begun.push_back(now);
        }
        may
    }
}

/// Lets a polling request through, if it keeps to the bounds.
pub(crate) async fn bounded(
    State(polling): State<Arc<Polling>>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    if !query.split('&').any(|pair| pair == "transport=polling") {
        return next.run(request).await;
    }
    let sid = query.split('&').find_map(|pair| pair.strip_prefix("sid="));
    match (sid, *request.method() == Method::POST) {
        (None, false) => {
            if !polling.begun.takes_one_more(Instant::now()) {
                metrics::counter!("switchboard_handshakes_put_off_total").increment(1);
                return later("too many sessions begin at once, try again");
            }
            polling.greeted(next.run(request).await).await
        }
        (Some(_), false) => next.run(request).await,
        (Some(sid), true) if polling.knows(sid) => match polling.whole(request).await {
            Ok((request, _room)) => next.run(request).await,
            Err(refusal) => refusal,
        },
        (_, true) => unknown(),
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
        let text = String::from_utf8_lossy(&greeting);
        let sid = text.split_once(r#""sid":""#).and_then(|(_, rest)| rest.split('"').next());
        if let Some(sid) = sid {
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
        let room = timeout(ROOM_WITHIN, self.room.acquire_many(size as u32)).await;
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
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_sessions_begin_in_the_time_that_they_have_to_enter() {
        let (begun, now) = (Begun::new(2), Instant::now());
        assert!(begun.takes_one_more(now) && begun.takes_one_more(now));
        assert!(!begun.takes_one_more(now + ENTER_WITHIN));
        let later = now + ENTER_WITHIN + Duration::from_millis(1);
        assert!(begun.takes_one_more(later) && begun.takes_one_more(later));
        assert!(!begun.takes_one_more(later));
        assert_eq!(begun.oldest_first.lock().expect("a lock").len(), 2);
    }
}
