//! The real program: its ports, its refusals at the start, its ends.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use chat_core::{Code, process::Backoff};
use switchboard_proto::{
    AUTHORIZATION,
    status::to_error,
    v1::{self, chat_service_client::ChatServiceClient},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::World;

/// What gateways show.
pub(crate) const SERVICE_TOKEN: &str = "a service token!";

/// A running message-api.
pub(crate) struct Program {
    child: Child,
    grpc: String,
    http: String,
    admin: String,
}

pub(crate) fn command(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_message-api"));
    command
        .env_clear()
        .env("DATABASE_URL", world.database_url())
        .env("REDIS_URL", &world.redis_url)
        .env("REDIS_PREFIX", &world.prefix)
        .env("JWT_SECRET", "a secret of the tests, 32 bytes!")
        .env("SERVICE_TOKEN", SERVICE_TOKEN)
        .env("ENVIRONMENT", "development")
        .envs(["HTTP_ADDR", "GRPC_ADDR", "ADMIN_ADDR"].map(|name| (name, "127.0.0.1:0")))
        .stderr(Stdio::piped());
    command
}

impl Program {
    /// Starts it and waits until it serves.
    pub(crate) fn start(world: &World) -> Self {
        Self::run(&mut command(world))
    }

    /// The same, of a command with more settings.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut address = |name: &str| {
            let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains(name));
            let line = line.expect("it says where it serves");
            line.rsplit_once("address=").expect("an address").1.to_owned()
        };
        let (admin, grpc, http) =
            (address("ADMIN_ADDR"), address("GRPC_ADDR"), address("HTTP_ADDR"));
        // Somebody must read on, or it would have to wait when it writes.
        std::thread::spawn(|| lines.map_while(Result::ok).for_each(|line| eprintln!("| {line}")));
        Self { child, grpc, http, admin }
    }

    /// Where gRPC is served.
    pub(crate) fn grpc(&self) -> &str {
        &self.grpc
    }

    /// What it counts.
    pub(crate) async fn metrics(&self) -> String {
        let metrics = reqwest::get(format!("http://{}/metrics", self.admin)).await;
        metrics.expect("metrics").text().await.expect("text")
    }

    pub(crate) fn channel(&self) -> Channel {
        Endpoint::try_from(format!("http://{}", self.grpc)).expect("an address").connect_lazy()
    }

    pub(crate) fn client(&self) -> Client {
        ChatServiceClient::with_interceptor(self.channel(), show_token)
    }

    /// The status and the body of an answer.
    async fn get(&self, url: String) -> (u16, serde_json::Value) {
        let answer = reqwest::get(format!("http://{url}")).await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill");
        assert!(sent.success());
    }

    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.child.wait().expect("ends").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) type ShowToken = fn(Request<()>) -> Result<Request<()>, Status>;
pub(crate) type Client = ChatServiceClient<InterceptedService<Channel, ShowToken>>;

pub(crate) fn show_token(mut request: Request<()>) -> Result<Request<()>, Status> {
    let value = format!("Bearer {SERVICE_TOKEN}").parse::<MetadataValue<_>>().expect("ASCII");
    request.metadata_mut().insert(AUTHORIZATION, value);
    Ok(request)
}

pub(crate) async fn register(client: &mut Client, name: &str) -> v1::Party {
    let request = v1::RegisterRequest { username: name.into(), password: None };
    let login = client.register(request).await.expect("registers").into_inner().login;
    let user = login.expect("a login").session.expect("a session").user;
    v1::Party { kind: Some(v1::party::Kind::User(user.expect("a user"))) }
}

pub(crate) fn post(caller: &v1::Party, text: &str) -> v1::PostMessageRequest {
    v1::PostMessageRequest {
        caller: Some(caller.clone()),
        conversation_id: "lobby".into(),
        text: text.into(),
        client_id: text.into(),
        ..Default::default()
    }
}

pub(crate) async fn stored(client: &mut Client, caller: &v1::Party) -> Vec<String> {
    let request = v1::GetHistoryRequest {
        caller: Some(caller.clone()),
        conversation_id: "lobby".into(),
        span: None,
        limit: 1_000,
    };
    let page = client.get_history(request).await.expect("history").into_inner();
    page.messages.into_iter().map(|message| message.text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_grpc_to_those_with_the_token_and_rest_to_all() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let alice = register(&mut client, "alice").await;
    client.post_message(post(&alice, "hi")).await.expect("posts");
    assert_eq!(stored(&mut client, &alice).await, ["hi"]);
    let refused = client.post_message(post(&alice, " ")).await.expect_err("refused");
    assert_eq!(to_error(&refused).code(), Code::Empty);
    let nobody = client.post_message(v1::PostMessageRequest::default()).await;
    assert_eq!(to_error(&nobody.expect_err("refused")).code(), Code::InvalidPayload);
    let mut stranger = ChatServiceClient::new(program.channel());
    let refused = stranger.get_heads(v1::GetHeadsRequest::default()).await.expect_err("refused");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let service = "switchboard.v1.ChatService".to_owned();
    let health = HealthClient::new(program.channel()).check(HealthCheckRequest { service }).await;
    assert_eq!(health.expect("health").into_inner().status, 1);
    let (status, document) = program.get(format!("{}/openapi.json", program.http)).await;
    assert_eq!((status, &document["info"]["title"]), (200, &"Switchboard".into()));
    let (status, _) = program.get(format!("{}/nowhere", program.http)).await;
    assert_eq!(status, 404);
    let (status, report) = program.get(format!("{}/readyz", program.admin)).await;
    assert_eq!((status, &report["mysql"]), (200, &"ok".into()));
    assert!(program.metrics().await.contains("switchboard_posts_total 1"));
}

/// Posts until the program is gone; returns what was acknowledged.
async fn post_to_the_end(mut client: Client, caller: v1::Party, sender: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    loop {
        let text = format!("{sender}-{}", acknowledged.len());
        match client.post_message(post(&caller, &text)).await {
            Ok(_) => acknowledged.push(text),
            Err(_) => return acknowledged,
        }
    }
}

/// Ends the program while many post; returns its exit code once all that was acknowledged has
/// been found in a new one.
async fn ended_by(signal: &str) -> Option<i32> {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let mut senders = JoinSet::new();
    let alice = register(&mut client, "alice").await;
    for sender in 0..8 {
        senders.spawn(post_to_the_end(program.client(), alice.clone(), sender));
    }
    while stored(&mut client, &alice).await.len() < 100 {}
    drop(client);
    program.signal(signal);
    let code = program.exit_code();
    let acknowledged: Vec<_> = senders.join_all().await.into_iter().flatten().collect();
    assert!(acknowledged.len() >= 100 - 8);
    let program = Program::start(&world);
    let mut client = program.client();
    for text in &acknowledged {
        // The same again answers with the first: had it been lost, a message would be made.
        client.post_message(post(&alice, text)).await.expect("answers");
    }
    let request =
        v1::GetConversationRequest { caller: Some(alice), conversation_id: "lobby".into() };
    let lobby =
        client.get_conversation(request).await.expect("the lobby").into_inner().conversation;
    let head = lobby.expect("a conversation").head;
    let unacknowledged = head - acknowledged.len() as u64;
    assert!(unacknowledged <= 8, "each sender had at most one under way: {unacknowledged}");
    code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_ends_with_zero_and_loses_nothing() {
    assert_eq!(ended_by("TERM").await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_under_load_loses_nothing_acknowledged() {
    assert_eq!(ended_by("KILL").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_ask_for_nothing_do_not_hold_up_the_end() {
    let world = World::empty();
    let program = Program::run(command(&world).env("SHUTDOWN_GRACE", "2"));
    let mut silent = TcpStream::connect(&program.http).await.expect("connects");
    let mut hesitant = TcpStream::connect(&program.http).await.expect("connects");
    hesitant.write_all(b"GET /api/ro").await.expect("writes");
    let mut grpc = TcpStream::connect(&program.grpc).await.expect("connects");
    program.get(format!("{}/openapi.json", program.http)).await;
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
    for connection in [&mut silent, &mut hesitant, &mut grpc] {
        // However it is told: it is over.
        let _ = connection.read_to_end(&mut Vec::new()).await;
    }
}

#[test]
fn a_bad_setting_stops_the_start_with_one_sentence_that_names_it() {
    let world = World::empty();
    for (name, value) in [
        ("HTTP_ADDR", "nowhere"),
        ("JWT_SECRET", "short"),
        ("SERVICE_TOKEN", "short"),
        ("DATABASE_URL", "mysql://localhost"),
        ("REDIS_URL", "x"),
        ("TEXT_MAX", "0"),
        ("LOG", "a=b=c"),
        ("PROTOCOLS", "chatto,irc"),
        ("MEDIA_URL", "ftp://localhost"),
        ("SERVICE_TOKEN_FILE", "/nonexistent"),
    ] {
        refuses_to_start(command(&world).env(name, value), name);
    }
    for name in ["DATABASE_URL", "REDIS_URL", "JWT_SECRET", "SERVICE_TOKEN"] {
        refuses_to_start(command(&world).env_remove(name), name);
    }
}

pub(crate) fn refuses_to_start(command: &mut Command, name: &str) {
    let output = command.output().expect("runs");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{name}: {text}");
    assert!(text.contains(name), "{name}: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_a_database_that_is_not_there_yet_and_is_not_ready() {
    let mut world = World::empty();
    world.database = world.database.clone().port(1);
    let mut child = command(&world).spawn().expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("UTF-8");
    let admin = first.rsplit_once("address=").expect("an address").1.to_owned();
    let program = Program { child, grpc: String::new(), http: String::new(), admin };
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    loop {
        let (status, report) = program.get(format!("{}/readyz", program.admin)).await;
        assert_eq!((status, &report["phase"]), (503, &"starting".into()));
        if report["mysql"].as_str().is_some_and(|why| why.contains("refused")) {
            break;
        }
        backoff.wait().await;
    }
    let healthy = reqwest::get(format!("http://{}/healthz", program.admin)).await.expect("answers");
    assert_eq!(healthy.status().as_u16(), 200);
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
}

#[test]
fn migrate_only_migrates_and_ends() {
    let world = World::empty();
    for _ in 0..2 {
        let output = command(&world).arg("--migrate-only").output().expect("runs");
        assert_eq!(output.status.code(), Some(0));
    }
}
