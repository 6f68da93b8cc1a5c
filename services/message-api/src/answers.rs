//! Long answers take so much room together: each is whole in memory until its client has taken it.

use std::sync::LazyLock;

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use chat_core::Code;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::refusal;

/// What is no longer takes no room.
const SHORT: usize = 64 * 1024;

/// Bytes of long answers at once.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(128 * 1024 * 1024));

/// An answer, and its room for as long as any of it has not been written.
struct Long {
    bytes: Bytes,
    _room: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Answers, if there is room for the answer. What is made while it is read, as files are, takes
/// none.
pub(crate) async fn in_bounded_room(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let Some(size) = size.filter(|size| *size > SHORT) else { return response };
    let room = u32::try_from(size).ok().and_then(|size| ROOM.try_acquire_many(size).ok());
    let Some(room) = room else {
        return refusal(Code::Unavailable, "too many long answers at once, try again");
    };
    let (parts, body) = response.into_parts();
    match to_bytes(body, size).await {
        Ok(bytes) => {
            let long = Bytes::from_owner(Long { bytes, _room: room });
            Response::from_parts(parts, Body::from(long))
        }
        Err(_) => refusal(Code::Internal, "internal error"),
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_long_answer_keeps_its_room_until_it_is_written() {
        const SIZE: usize = 100_000;
        let router = Router::new()
            .route("/long", get(async || vec![b'x'; SIZE]))
            .route("/short", get(async || "x"))
            .layer(from_fn(in_bounded_room));
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            router.clone().oneshot(request).await.expect("an answer")
        };
        let all = ROOM.available_permits();
        let answer = ask("/long").await;
        let part = to_bytes(answer.into_body(), SIZE).await.expect("a body").slice(..1);
        assert_eq!(ROOM.available_permits(), all - SIZE);
        drop(part);
        assert_eq!(ROOM.available_permits(), all);
        let others = ROOM.acquire_many(u32::try_from(all).expect("fits")).await.expect("all of it");
        assert_eq!(ask("/long").await.status(), 503);
        assert_eq!(ask("/short").await.status(), 200);
        drop(others);
    }
}
