//! Reads what a handler left of its request. A connection that is answered and closed while the
//! client still sends is reset, and the answer is lost with it: who posts too much, or without a
//! session, would see a broken connection instead of the reason.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    extract::Request,
    middleware::Next,
    response::Response,
};
use futures_util::{StreamExt as _, stream};
use tokio::{sync::Mutex, time::timeout};

/// The most that is read only to be thrown away: more than the largest upload.
const MOST: usize = 48 * 1024 * 1024;

/// The longest that an answer waits for what is still being sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers only once the request has been read, or as much of it as anybody may send.
pub(crate) async fn read_the_rest(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let unread = Arc::new(Mutex::new(body.into_data_stream()));
    let body = Body::from_stream(stream::unfold(Arc::clone(&unread), async |unread| {
        let chunk = unread.lock().await.next().await?;
        Some((chunk, unread))
    }));
    let response = next.run(Request::from_parts(parts, body)).await;
    // Who sends slowly has its answer late, or not at all.
    let _ = timeout(PATIENCE, throw_away(&mut *unread.lock().await)).await;
    response
}

async fn throw_away(rest: &mut BodyDataStream) {
    let mut read = 0;
    while let Some(Ok(chunk)) = rest.next().await {
        read += chunk.len();
        if read > MOST {
            break;
        }
    }
}
