//! Other services: their tokens, whom they act for, what they are told.

use std::{path::PathBuf, time::Duration};

use chat_core::{Code, process::Backoff};
use switchboard_proto::{
    AUTHORIZATION,
    status::{DOMAIN, SERVICE_TOKEN_REFUSED, to_error},
    v1::{self, chat_service_client::ChatServiceClient},
};
use tokio::time::Instant;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    process::{Program, SERVICE_TOKEN, command, post, register, show_token},
    support::World,
};

/// A file of its own that goes with it.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(world: &World, name: &str, text: &str) -> Self {
        let file = Self(std::env::temp_dir().join(format!("{}-{name}", world.prefix)));
        file.says(text);
        file
    }

    fn says(&self, text: &str) {
        std::fs::write(&self.0, text).expect("writes");
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Is a call with this token let in? If not, it is told why.
async fn is_let_in(channel: &Channel, token: &str) -> bool {
    let mut client = ChatServiceClient::new(channel.clone());
    let mut request = Request::new(v1::GetHeadsRequest::default());
    let bearer = format!("Bearer {token}").parse().expect("ASCII");
    request.metadata_mut().insert(AUTHORIZATION, bearer);
    match client.get_heads(request).await {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert_eq!(reason(&status.get_error_details()), SERVICE_TOKEN_REFUSED);
            false
        }
    }
}

/// The reason that is named, which is ours.
pub(crate) fn reason(details: &ErrorDetails) -> &str {
    let info = details.error_info().expect("an ErrorInfo");
    assert_eq!(info.domain, DOMAIN);
    &info.reason
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
    while !is_so().await {
        assert!(Instant::now() < until, "{what}");
        backoff.wait().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_rotated_while_it_runs_and_a_bad_file_changes_nothing() {
    let world = World::empty();
    let gateways = TokenFile::new(&world, "gateways", "the gateways' first\n");
    let others = TokenFile::new(&world, "others", "# bots\nbilling billing-token-one\n");
    let program = Program::run(
        command(&world)
            .env_remove("SERVICE_TOKEN")
            .env("SERVICE_TOKEN_FILE", &gateways.0)
            .env("SERVICE_TOKENS_FILE", &others.0),
    );
    let channel = program.channel();
    let is_in = async |token: &str| is_let_in(&channel, token).await;
    assert!(is_in("the gateways' first").await && is_in("billing-token-one").await);
    assert!(!is_in("billing").await);

    gateways.says("the gateways' second\nthe gateways' first\n");
    others.says("billing billing-token-one\nbilling billing-token-two\nsearch search-token-one");
    until("the new ones are known", async || {
        is_in("the gateways' second").await
            && is_in("billing-token-two").await
            && is_in("search-token-one").await
    })
    .await;
    assert!(is_in("the gateways' first").await && is_in("billing-token-one").await);

    let stale = "switchboard_service_tokens_stale{setting=\"SERVICE_TOKENS_FILE\"}";
    others.says("billing short");
    until("it is seen", async || program.metrics().await.contains(&format!("{stale} 1"))).await;
    assert!(is_in("search-token-one").await, "the last good ones stay");

    gateways.says("the gateways' second");
    others.says("search search-token-one");
    until("the old ones are gone", async || {
        !is_in("the gateways' first").await && !is_in("billing-token-two").await
    })
    .await;
    assert!(is_in("the gateways' second").await && is_in("search-token-one").await);
    let metrics = program.metrics().await;
    assert!(metrics.contains(&format!("{stale} 0")));
    for (service, code) in [("gateway", "Ok"), ("billing", "Ok"), ("search", "Ok")] {
        let line = format!(
            "switchboard_grpc_calls_total{{service=\"{service}\",method=\"GetHeads\",code=\"{code}\"}}"
        );
        assert!(metrics.contains(&line), "{line}");
    }
    assert!(metrics.contains("{service=\"none\",method=\"unknown\",code=\"Unauthenticated\"}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_their_token_is_taken_away() {
    let world = World::empty();
    let others = TokenFile::new(&world, "others", "billing billing-token-one\n");
    let program = Program::run(command(&world).env("SERVICE_TOKENS_FILE", &others.0));
    let mut client = ChatServiceClient::new(program.channel());
    let mut request = Request::new(v1::WatchEventsRequest::default());
    let bearer: MetadataValue<Ascii> = "Bearer billing-token-one".parse().expect("ASCII");
    request.metadata_mut().insert(AUTHORIZATION, bearer.clone());
    let mut stream = client.watch_events(request).await.expect("a stream").into_inner();
    stream.message().await.expect("no error");
    let mut request = Request::new(futures_util::stream::pending());
    request.metadata_mut().insert(AUTHORIZATION, bearer);
    let mut posts = client.post_messages(request).await.expect("a stream").into_inner();
    others.says("# nobody");
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Err(status) = stream.message().await {
                return status;
            }
        }
    });
    let status = ended.await.expect("in time");
    assert_eq!(reason(&status.get_error_details()), SERVICE_TOKEN_REFUSED);
    let last = tokio::time::timeout(Duration::from_secs(30), posts.message()).await;
    assert!(last.expect("in time").expect("an answer").is_some_and(|answer| answer.is_last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_user_passes_as_a_service() {
    let world = World::empty();
    let program = Program::start(&world);
    let request = v1::RegisterRequest { username: "alice".into(), password: None };
    let login = program.client().register(request).await.expect("registers").into_inner().login;
    let login = login.expect("a login");
    for shown in [login.token, login.secret, login.session.expect("a session").id] {
        assert!(!is_let_in(&program.channel(), &shown).await);
    }
    assert!(is_let_in(&program.channel(), SERVICE_TOKEN).await);
}

fn user(id: u64, name: &str) -> v1::Party {
    let user = v1::User { id, name: name.into() };
    v1::Party { kind: Some(v1::party::Kind::User(user)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_acts_for_a_user_by_id_or_name_and_as_itself_by_an_account_of_its_own() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let alice = register(&mut client, "Alice").await;
    let Some(v1::party::Kind::User(whole)) = alice.kind.clone() else { panic!("a user") };
    let mut ids = Vec::new();
    for (n, named) in [user(whole.id, ""), user(0, "alice"), alice.clone()].iter().enumerate() {
        let posted = client.post_message(post(named, &n.to_string())).await.expect("posts");
        let message = posted.into_inner().message.expect("a message");
        assert_eq!((message.author, message.via), (Some(alice.clone()), 0));
        ids.push(message.id);
    }
    // Every other verb takes them alike.
    let edit = v1::EditMessageRequest {
        caller: Some(user(0, "alice")),
        message_id: ids[0],
        text: "edited".into(),
    };
    client.edit_message(edit).await.expect("edits");
    let room = v1::CreateRoomRequest { caller: Some(user(whole.id, "")), title: "a room".into() };
    client.create_room(room).await.expect("makes a room");

    let bot = register(&mut client, "billing-bot").await;
    let again = v1::RegisterRequest { username: "billing-bot".into(), password: None };
    let taken = client.register(again).await.expect_err("refused");
    assert_eq!(to_error(&taken).code(), Code::UsernameTaken, "it has one already");
    let posted = client.post_message(post(&user(0, "billing-bot"), "your bill")).await;
    assert_eq!(posted.expect("posts").into_inner().message.expect("one").author, Some(bot));
    // It has no more rights than anybody.
    let delete =
        v1::DeleteMessageRequest { caller: Some(user(0, "billing-bot")), message_id: ids[1] };
    let refused = client.delete_message(delete).await.expect_err("refused");
    assert_eq!(to_error(&refused).code(), Code::Forbidden);

    for (named, code) in [
        (user(0, "nobody"), Code::UnknownUser),
        (user(u64::MAX, ""), Code::UnknownUser),
        (user(whole.id, "bob"), Code::Unauthorised),
        (user(0, ""), Code::InvalidPayload),
        (user(0, "?"), Code::InvalidUsername),
    ] {
        let refused = client.post_message(post(&named, "hi")).await.expect_err("refused");
        assert_eq!(to_error(&refused).code(), code, "{named:?}");
    }
}

macro_rules! reflected {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let ask = |request| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let all = MessageRequest::ListServices(String::new());
        let refused = ServerReflectionClient::new($channel)
            .server_reflection_info(futures_util::stream::iter([ask(all.clone())]))
            .await
            .expect_err("no token");
        assert_eq!(reason(&refused.get_error_details()), SERVICE_TOKEN_REFUSED);
        let asked = [all, MessageRequest::FileContainingSymbol("google.rpc.ErrorInfo".into())];
        let mut answers = ServerReflectionClient::with_interceptor($channel, show_token)
            .server_reflection_info(futures_util::stream::iter(asked.map(ask)))
            .await
            .expect("a stream")
            .into_inner();
        let mut next = async || {
            let answer = answers.message().await.expect("no error").expect("an answer");
            answer.message_response.expect("a response")
        };
        let MessageResponse::ListServicesResponse(list) = next().await else { panic!("a list") };
        assert!(matches!(next().await, MessageResponse::FileDescriptorResponse(_)));
        list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_is_for_services_only_in_both_of_its_versions() {
    let world = World::empty();
    let program = Program::start(&world);
    let newer = reflected!(v1, program.channel());
    let older = reflected!(v1alpha, program.channel());
    for list in [newer, older] {
        assert!(list.contains(&"switchboard.v1.ChatService".to_owned()), "{list:?}");
        assert!(list.contains(&"grpc.health.v1.Health".to_owned()), "{list:?}");
    }
}
