//! Calls to replicas that answer, refuse, break, are silent, and come back.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use chat_core::{ChatError, Code, process::Shutdown};
use futures_util::future::join_all;
use switchboard_proto::status::from_error;
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    time::{Instant, sleep},
};
use tonic::{
    body::Body,
    server::NamedService,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::ServingStatus;

use super::*;

pub(super) const ANYWHERE: &str = "127.0.0.1:0";

/// A replica that answers every call by `not_found` and its own name, so that it is known who did.
#[derive(Clone)]
struct Fake {
    name: &'static str,
    is_down: Arc<AtomicBool>,
}

impl NamedService for Fake {
    const NAME: &'static str = "switchboard.v1.ChatService";
}

impl tower::Service<http::Request<Body>> for Fake {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let code = match self.is_down.load(Ordering::Relaxed) {
            true => Code::Unavailable,
            false => Code::NotFound,
        };
        ready(Ok(from_error(&ChatError::new(code, self.name)).into_http()))
    }
}

impl Fake {
    fn new(name: &'static str) -> Self {
        Self { name, is_down: Arc::default() }
    }

    async fn serves(&self, at: &str, tasks: &Shutdown) -> SocketAddr {
        serve(Routes::new(self.clone()), at, tasks).await
    }
}

/// Serves a fake that says it is well.
pub(super) async fn serve(fake: Routes, at: &str, tasks: &Shutdown) -> SocketAddr {
    let listener = TcpListener::bind(at).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status(Fake::NAME, ServingStatus::Serving).await;
    let server = Server::builder().add_routes(fake.add_service(health));
    tasks.spawn_until_stopped(async move {
        server.serve_with_incoming(TcpIncoming::from(listener)).await.expect("serves");
    });
    address
}

/// Where nobody listens.
pub(super) async fn nowhere() -> SocketAddr {
    TcpListener::bind(ANYWHERE).await.and_then(|listener| listener.local_addr()).expect("a port")
}

fn token() -> ServiceToken {
    ServiceToken::fixed("a service token")
}

/// Calls under way to each replica.
const CALLS: usize = 64;

pub(super) fn client_of(replicas: &[SocketAddr], tasks: &Shutdown) -> ChatClient {
    narrow_client_of(replicas, CALLS, tasks)
}

fn narrow_client_of(replicas: &[SocketAddr], calls: usize, tasks: &Shutdown) -> ChatClient {
    let urls: Vec<_> = replicas.iter().map(|at| format!("http://{at}")).collect();
    ChatClient::new(&urls, &token(), None, calls, tasks).expect("good URLs")
}

/// Who answers a call that may, or may not, happen twice; or `unavailable`.
async fn asked(client: &ChatClient, twice: Twice) -> String {
    let call = |mut c: Client| async move { c.get_heads(v1::GetHeadsRequest::default()).await };
    let refusal =
        client.replicas.call(twice, Lane::Others, call).await.expect_err("fakes only refuse");
    match refusal.code() {
        Code::NotFound => refusal.message().to_owned(),
        code => code.to_string(),
    }
}

#[tokio::test]
async fn calls_are_spread_evenly() {
    let tasks = Shutdown::new();
    let mut replicas = Vec::new();
    for name in ["one", "two", "three"] {
        replicas.push(Fake::new(name).serves(ANYWHERE, &tasks).await);
    }
    let client = client_of(&replicas, &tasks);
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..30 {
        *counts.entry(asked(&client, Twice::Never).await).or_default() += 1;
    }
    assert!(counts.len() == 3 && counts.values().all(|n| *n >= 8), "{counts:?}");
}

#[tokio::test]
async fn what_was_never_sent_moves_on_whatever_it_is() {
    let tasks = Shutdown::new();
    let lives = Fake::new("lives").serves(ANYWHERE, &tasks).await;
    let client = client_of(&[nowhere().await, lives], &tasks);
    for _ in 0..10 {
        assert_eq!(asked(&client, Twice::Never).await, "lives");
    }
}

#[tokio::test]
async fn what_broke_half_way_moves_on_only_if_it_may_happen_twice() {
    for (twice, answer) in [(Twice::Never, "unavailable"), (Twice::Fine, "lives")] {
        let tasks = Shutdown::new();
        let breaks = TcpListener::bind(ANYWHERE).await.expect("a port");
        let lives = Fake::new("lives").serves(ANYWHERE, &tasks).await;
        let client = client_of(&[breaks.local_addr().expect("an address"), lives], &tasks);
        tasks.spawn_until_stopped(async move {
            while let Ok((mut peer, _)) = breaks.accept().await {
                // The probe's or the call's first bytes arrive, then it dies.
                let _ = peer.read(&mut [0; 4096]).await;
                sleep(Duration::from_millis(30)).await;
            }
        });
        assert_eq!(asked(&client, twice).await, answer);
        assert_eq!(asked(&client, Twice::Never).await, "lives", "now it is known");
    }
}

#[tokio::test]
async fn a_silent_replica_is_found_out_and_left_alone() {
    let tasks = Shutdown::new();
    let silent = TcpListener::bind(ANYWHERE).await.expect("a port");
    let lives = Fake::new("lives").serves(ANYWHERE, &tasks).await;
    let client = client_of(&[silent.local_addr().expect("an address"), lives], &tasks);
    let began = Instant::now();
    assert_eq!(asked(&client, Twice::Fine).await, "lives");
    // By the probe: the connection's own keepalive takes 4 s.
    assert!(began.elapsed() < Duration::from_millis(3_500), "{:?}", began.elapsed());
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(asked(&client, Twice::Never).await, "lives");
        assert!(began.elapsed() < Duration::from_millis(500));
    }
    assert_eq!(client.replicas(), (2, 1));
}

#[tokio::test]
async fn who_waits_at_a_replica_that_falls_silent_fails_with_those_under_way() {
    let tasks = Shutdown::new();
    let silent = TcpListener::bind(ANYWHERE).await.expect("a port");
    let client = narrow_client_of(&[silent.local_addr().expect("an address")], 1, &tasks);
    let began = Instant::now();
    let answers = join_all((0..10).map(|_| asked(&client, Twice::Fine))).await;
    assert!(answers.iter().all(|answer| answer == "unavailable"), "{answers:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_waits_moves_on_when_its_replica_goes() {
    let tasks = Shutdown::new();
    let silent = TcpListener::bind(ANYWHERE).await.expect("a port");
    let lives = Fake::new("lives").serves(ANYWHERE, &tasks).await;
    let client = narrow_client_of(&[silent.local_addr().expect("an address"), lives], 1, &tasks);
    let answers = join_all((0..10).map(|_| asked(&client, Twice::Fine))).await;
    assert!(answers.iter().all(|answer| answer == "lives"), "{answers:?}");
}

#[tokio::test]
async fn without_any_replica_calls_fail_soon() {
    let tasks = Shutdown::new();
    let client = client_of(&[nowhere().await, nowhere().await], &tasks);
    for bound in [2_000, 700, 700] {
        for twice in [Twice::Fine, Twice::Never] {
            let began = Instant::now();
            assert_eq!(asked(&client, twice).await, "unavailable");
            assert!(began.elapsed() < Duration::from_millis(bound), "{:?}", began.elapsed());
        }
    }
}

#[tokio::test]
async fn a_call_waits_for_a_replica_that_restarts() {
    let tasks = Shutdown::new();
    let address = nowhere().await;
    let client = client_of(&[address], &tasks);
    let restart = async {
        sleep(Duration::from_millis(300)).await;
        Fake::new("back").serves(&address.to_string(), &tasks).await
    };
    let (answer, _) = tokio::join!(asked(&client, Twice::Never), restart);
    assert_eq!(answer, "back");
}

#[tokio::test]
async fn one_that_was_long_away_is_asked_as_soon_as_it_is_back() {
    let tasks = Shutdown::new();
    let address = nowhere().await;
    let client = client_of(&[address], &tasks);
    let long = Instant::now() + Duration::from_secs(3);
    while Instant::now() < long {
        assert_eq!(asked(&client, Twice::Never).await, "unavailable");
    }
    Fake::new("back").serves(&address.to_string(), &tasks).await;
    assert_eq!(asked(&client, Twice::Never).await, "back");
}

#[tokio::test]
async fn one_that_says_unavailable_is_avoided_and_asked_again_later() {
    let tasks = Shutdown::new();
    let (ill, well) = (Fake::new("ill"), Fake::new("well"));
    ill.is_down.store(true, Ordering::Relaxed);
    let replicas = [ill.serves(ANYWHERE, &tasks).await, well.serves(ANYWHERE, &tasks).await];
    let client = client_of(&replicas, &tasks);
    assert_eq!(asked(&client, Twice::Fine).await, "well");
    assert_eq!(asked(&client, Twice::Never).await, "well");
    ill.is_down.store(false, Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(5);
    while asked(&client, Twice::Never).await != "ill" {
        assert!(Instant::now() < until, "it never got its share again");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_name_means_all_its_addresses() {
    let tasks = Shutdown::new();
    let address = Fake::new("named").serves(ANYWHERE, &tasks).await;
    let urls = [format!("http://localhost:{}", address.port())];
    let client = ChatClient::new(&urls, &token(), None, CALLS, &tasks).expect("a good URL");
    assert_eq!(asked(&client, Twice::Never).await, "named");
}

#[tokio::test]
async fn a_bad_url_is_refused_with_a_sentence_that_names_the_setting() {
    for bad in ["", "localhost:3101", "https://host", "ftp://host", "http://"] {
        let refused = ChatClient::new(&[bad.into()], &token(), None, CALLS, &Shutdown::new());
        assert!(refused.expect_err(bad).contains("MESSAGE_API_GRPC_URL"));
    }
}
