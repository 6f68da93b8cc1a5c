//! What `make guard` counts of the way out: finishing a frame, and one write of many.

use ::guard::measure;

use super::{
    tests::{HERE, PATIENCE, pair, read},
    *,
};

/// Frames in the write.
const FRAMES: usize = 8;

#[tokio::test]
#[ignore = "counted by `make guard`"]
async fn guard() {
    let body = format!("\"{}\"", "x".repeat(200));
    let finish = || frame::event("/chatto", "chat message", &body);
    measure("outbound: finish 100 frames", || (0..100).for_each(|_| drop(finish())));
    let frame = finish();
    let (outbound, mut client, _tasks) = pair(PATIENCE).await;
    measure("outbound: put 8 frames into a queue", || {
        (0..FRAMES).for_each(|_| outbound.push(&HERE, frame.clone()));
    });
    measure("outbound: write 8 frames", || outbound.flush());
    assert_eq!(read(&mut client, FRAMES * frame.len()).await, frame.repeat(FRAMES));
}
