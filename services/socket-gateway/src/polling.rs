//! What comes in by polling is bounded: a post comes whole and in time before anybody looks at it,
//! and only so many sessions begin at once, since those that never enter cost memory until the
//! library gives them up.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, timeout};

use crate::sockets::{ENTER_WITHIN, FRAME_MAX};

/// How long a post may take to come.
const POST_WITHIN: Duration = Duration::from_secs(15);

/// The most sessions that begin in the time that a client has to enter.
const AT_ONCE: usize = 10_000;

/// The sessions that began by polling a moment ago: those of them that stay out are forgotten
/// after as long.
pub(crate) struct Begun {
    most: usize,
    oldest_first: Mutex<VecDeque<Instant>>,
}

impl Begun {
    /// In the time that a client has to enter as many as there is room for connections, and no more
    /// than cost little: 16 KiB each.
    pub(crate) fn new(connections: usize) -> Self {
        Self { most: connections.min(AT_ONCE), oldest_first: Mutex::default() }
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
    State(begun): State<Arc<Begun>>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    if !query.split('&').any(|pair| pair == "transport=polling") {
        return next.run(request).await;
    }
    let is_new = !query.split('&').any(|pair| pair.starts_with("sid="));
    if is_new && !begun.takes_one_more(Instant::now()) {
        metrics::counter!("switchboard_handshakes_put_off_total").increment(1);
        return later();
    }
    if request.method() == Method::POST {
        return match whole(request).await {
            Ok(request) => next.run(request).await,
            Err(refusal) => refusal,
        };
    }
    next.run(request).await
}

/// The request with all of its body.
async fn whole(request: Request) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > FRAME_MAX as u64 {
        return Err(too_large());
    }
    match timeout(POST_WITHIN, to_bytes(body, FRAME_MAX)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the post came too slowly").into_response()),
    }
}

fn too_large() -> Response {
    let sentence = format!("a post has at most {FRAME_MAX} bytes, all of which come");
    (StatusCode::PAYLOAD_TOO_LARGE, sentence).into_response()
}

fn later() -> Response {
    let sentence = "too many sessions begin at once, try again";
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
