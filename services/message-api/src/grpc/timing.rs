//! How long calls take, by method.

use std::{
    collections::HashMap,
    sync::LazyLock,
    task::{Context, Poll},
    time::Instant,
};

use axum::http::{Request, Response};
use futures_util::future::BoxFuture;
use metrics::Histogram;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use switchboard_proto::DESCRIPTORS;
use tower::{Layer, Service};

const SERVICE: &str = "ChatService";

/// The product's own methods by their paths; nothing else is measured.
static METHODS: LazyLock<HashMap<String, Histogram>> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default().file;
    let services = files.iter().flat_map(|file| &file.service);
    let ours = services.filter(|service| service.name() == SERVICE);
    let measured = ours.flat_map(|service| &service.method).map(|method| {
        let path = format!("/switchboard.v1.{SERVICE}/{}", method.name());
        (path, of(method.name()))
    });
    measured.collect()
});

fn of(method: &str) -> Histogram {
    metrics::histogram!("switchboard_grpc_call_seconds", "method" => method.to_owned())
}

/// Measures a run of posts on a stream: the stream itself lasts.
pub(super) fn of_run() -> &'static Histogram {
    static RUNS: LazyLock<Histogram> = LazyLock::new(|| of("PostMessages"));
    &RUNS
}

/// Measures calls until their answers begin.
#[derive(Clone)]
pub(super) struct Timing;

impl<S> Layer<S> for Timing {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed(inner)
    }
}

/// A service whose calls are measured.
#[derive(Clone)]
pub(super) struct Timed<S>(S);

impl<S, B, A> Service<Request<B>> for Timed<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_stream = request.uri().path().ends_with("/PostMessages");
        let seconds = METHODS.get(request.uri().path()).filter(|_| !is_stream);
        let (began, answer) = (Instant::now(), self.0.call(request));
        Box::pin(async move {
            let answer = answer.await;
            if let Some(seconds) = seconds {
                seconds.record(began.elapsed());
            }
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_are_those_of_the_service() {
        assert!(METHODS.len() > 20);
        assert!(METHODS.contains_key("/switchboard.v1.ChatService/PostMessage"));
    }
}
