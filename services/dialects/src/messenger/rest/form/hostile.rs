//! Reads a form without a server, for made-up input.

use axum::{extract::DefaultBodyLimit, http::HeaderMap};
use chat_core::UserId;

use super::*;
use crate::{address::Address, messenger::rest::files::UPLOAD_MAX};

/// The files of a form, or why it is refused.
pub type Outcome = Result<Vec<Bytes>, ChatError>;

/// Reads a form that comes in these chunks; and how many bytes of it were taken.
pub fn read_form(content_type: &str, chunks: Vec<Bytes>) -> (Outcome, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(files(content_type, chunks))
}

async fn files(content_type: &str, chunks: Vec<Bytes>) -> (Outcome, usize) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let body = Body::from_stream(stream::iter(chunks).map(move |chunk| {
        counter.fetch_add(chunk.len(), Ordering::Relaxed);
        Ok::<_, std::io::Error>(chunk)
    }));
    let request = Request::post("/").header("content-type", content_type).body(body);
    let mut request = request.expect("a request");
    DefaultBodyLimit::max(UPLOAD_MAX).apply(&mut request);
    let all = async {
        let from = Address::of([127, 0, 0, 1].into(), &HeaderMap::new(), 0);
        let nobody = Owner { user: UserId(0), from };
        let (mut form, mut files) = (Form::of(request).await?, Vec::new());
        while let Some((file, _place)) = form.next_file(nobody).await? {
            files.push(file);
        }
        Ok(files)
    };
    (all.await, taken.load(Ordering::Relaxed))
}
