//! Other services: their tokens, whom they act for, what they are told.

use std::{path::PathBuf, time::Duration};

use chat_core::{Code, process::Backoff};
use sqlx::{ConnectOptions, Executor};
use switchboard_proto::{
    AUTHORIZATION,
    status::{DEADLINE_EXCEEDED, DOMAIN, SERVICE_TOKEN_REFUSED, UNIMPLEMENTED, to_error},
    v1::{self, chat_service_client::ChatServiceClient},
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, transport::Channel};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    process::{Client, Program, SERVICE_TOKEN, command, post, register, show_token},
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

fn reason(details: &ErrorDetails) -> &str {
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
async fn a_watcher_whose_token_is_taken_away_hears_no_more() {
    let world = World::empty();
    let others = TokenFile::new(&world, "others", "billing billing-token-one\n");
    let program = Program::run(command(&world).env("SERVICE_TOKENS_FILE", &others.0));
    let mut client = ChatServiceClient::new(program.channel());
    let mut request = Request::new(v1::WatchEventsRequest::default());
    let bearer = "Bearer billing-token-one".parse().expect("ASCII");
    request.metadata_mut().insert(AUTHORIZATION, bearer);
    let mut stream = client.watch_events(request).await.expect("a stream").into_inner();
    stream.message().await.expect("no error");
    others.says("billing billing-token-two");
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Err(status) = stream.message().await {
                return status;
            }
        }
    });
    let status = ended.await.expect("in time");
    assert_eq!(reason(&status.get_error_details()), SERVICE_TOKEN_REFUSED);
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

/// The field, or none, and the reason that each verb names.
fn told<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> (String, Option<String>) {
    let details = answer.expect_err("refused").get_error_details();
    let bad = details.bad_request().map(|bad| bad.field_violations[0].field.clone());
    (reason(&details).to_owned(), bad)
}

macro_rules! refusals {
    ($client:ident, $($verb:ident $request:expr => $reason:literal $field:expr;)*) => {
        $(
            let field: Option<&str> = $field;
            let answer = $client.$verb($request).await;
            assert_eq!(told(answer), ($reason.to_owned(), field.map(str::to_owned)), stringify!($verb));
        )*
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_says_why_and_which_field() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let caller = Some(register(&mut client, "alice").await);
    let lobby = || "lobby".to_owned();
    refusals! { client,
        register v1::RegisterRequest::default() => "INVALID_USERNAME" Some("username");
        register v1::RegisterRequest { username: "bob".into(), password: Some("x".into()) }
            => "INVALID_PASSWORD" Some("password");
        log_in v1::LogInRequest::default() => "INVALID_USERNAME" Some("username");
        log_in v1::LogInRequest { username: "alice".into(), password: "wrong".into() }
            => "INVALID_CREDENTIALS" None;
        authenticate v1::AuthenticateRequest::default() => "INVALID_PAYLOAD" Some("credential");
        end_session v1::EndSessionRequest::default() => "INVALID_PAYLOAD" Some("session_id");
        list_live_sessions v1::ListLiveSessionsRequest { session_ids: vec!["x".into()] }
            => "INVALID_PAYLOAD" Some("session_ids");
        admit_guest v1::AdmitGuestRequest::default() => "INVALID_USERNAME" Some("name");
        get_user v1::GetUserRequest::default() => "INVALID_PAYLOAD" Some("peer");
        list_users v1::ListUsersRequest { after: "?".into(), limit: 1 }
            => "INVALID_USERNAME" Some("after");
        delete_account v1::DeleteAccountRequest::default() => "INVALID_PAYLOAD" Some("user");
        create_room v1::CreateRoomRequest { caller: caller.clone(), title: String::new() }
            => "INVALID_NAME" Some("title");
        create_room v1::CreateRoomRequest { caller: None, title: "a room".into() }
            => "INVALID_PAYLOAD" Some("caller");
        get_conversation v1::GetConversationRequest::default()
            => "INVALID_PAYLOAD" Some("conversation_id");
        get_conversation v1::GetConversationRequest {
            caller: caller.clone(), conversation_id: "nowhere".into()
        } => "NOT_FOUND" None;
        list_rooms v1::ListRoomsRequest { after: "?".into(), limit: 1 }
            => "INVALID_PAYLOAD" Some("after");
        open_direct v1::OpenDirectRequest { caller: caller.clone(), peer: None }
            => "INVALID_PAYLOAD" Some("peer");
        open_direct v1::OpenDirectRequest {
            caller: caller.clone(),
            peer: Some(v1::open_direct_request::Peer::PeerName("alice".into())),
        } => "INVALID_RECIPIENT" Some("peer");
        list_directs v1::ListDirectsRequest::default() => "INVALID_PAYLOAD" Some("caller");
        post_message v1::PostMessageRequest::default() => "INVALID_PAYLOAD" Some("caller");
        post_message v1::PostMessageRequest {
            caller: caller.clone(), conversation_id: lobby(), ..Default::default()
        } => "EMPTY" Some("text");
        post_message v1::PostMessageRequest {
            caller: caller.clone(), conversation_id: lobby(), text: "hi".into(),
            client_id: "x".repeat(65), ..Default::default()
        } => "INVALID_CLIENT_ID" Some("client_id");
        post_message v1::PostMessageRequest {
            caller: caller.clone(), conversation_id: lobby(), text: "hi".into(),
            media: vec!["/media/1".into()], ..Default::default()
        } => "INVALID_MEDIA" Some("media");
        edit_message v1::EditMessageRequest { caller: caller.clone(), ..Default::default() }
            => "EMPTY" Some("text");
        delete_message v1::DeleteMessageRequest::default() => "INVALID_PAYLOAD" Some("caller");
        delete_message v1::DeleteMessageRequest { caller: caller.clone(), message_id: 9 }
            => "NOT_FOUND" None;
        get_message v1::GetMessageRequest::default() => "INVALID_PAYLOAD" Some("caller");
        get_history v1::GetHistoryRequest::default() => "INVALID_PAYLOAD" Some("conversation_id");
        mark_read v1::MarkReadRequest::default() => "INVALID_PAYLOAD" Some("caller");
        get_unread_count v1::GetUnreadCountRequest::default()
            => "INVALID_PAYLOAD" Some("conversation_id");
        mark_seen v1::MarkSeenRequest::default() => "INVALID_PAYLOAD" Some("conversation_id");
        list_changes v1::ListChangesRequest::default()
            => "INVALID_PAYLOAD" Some("conversation_id");
        get_heads v1::GetHeadsRequest { conversation_ids: vec![lobby(); 10_001] }
            => "INVALID_PAYLOAD" Some("conversation_ids");
        post_message v1::PostMessageRequest { text: "x".repeat(2 << 20), ..Default::default() }
            => "PAYLOAD_TOO_LARGE" None;
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

/// A call of a verb that there is none of, or whose body is none.
async fn raw(program: &Program, verb: &str, body: &'static [u8]) -> Status {
    let mut framed = vec![0];
    framed.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
    framed.extend(body);
    let request = axum::http::Request::post(format!(
        "http://{}/switchboard.v1.ChatService/{verb}",
        program.grpc()
    ))
    .header("content-type", "application/grpc")
    .header(AUTHORIZATION, format!("Bearer {SERVICE_TOKEN}"))
    .body(tonic::body::Body::new(axum::body::Body::from(framed)))
    .expect("a request");
    let answer = tower::ServiceExt::oneshot(program.channel(), request).await.expect("an answer");
    Status::from_header_map(answer.headers()).expect("a status")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_verb_or_no_message_is_told_in_the_same_words() {
    let world = World::empty();
    let program = Program::start(&world);
    let status = raw(&program, "Sing", b"").await;
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert_eq!(reason(&status.get_error_details()), UNIMPLEMENTED);
    let status = raw(&program, "GetHeads", b"\xff\xff\xff").await;
    assert_eq!(to_error(&status).code(), Code::InvalidPayload, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_at_its_deadline_and_says_so() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let alice = register(&mut client, "alice").await;
    // Somebody else holds the lobby.
    let mut holder = world.database.connect().await.expect("connects");
    holder.execute("BEGIN").await.expect("begins");
    holder.execute("SELECT id FROM conversations FOR UPDATE").await.expect("holds");
    let began = Instant::now();
    // Told by a header alone, so that only the server keeps to it.
    let status = with_timeout(&mut client, &alice, "300m").await.expect_err("too late");
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let details = status.get_error_details();
    assert_eq!(reason(&details), DEADLINE_EXCEEDED);
    assert!(details.retry_info().is_some());
    // However much its caller allows.
    let began = Instant::now();
    let status = with_timeout(&mut client, &alice, "1H").await.expect_err("too late");
    assert_eq!(to_error(&status).code(), Code::Unavailable);
    assert!(status.get_error_details().retry_info().is_some());
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    holder.execute("ROLLBACK").await.expect("lets go");
    with_timeout(&mut client, &alice, "rubbish").await.expect("posts");
}

async fn with_timeout(
    client: &mut Client,
    caller: &v1::Party,
    timeout: &str,
) -> Result<(), Status> {
    let mut request = Request::new(post(caller, "hi"));
    request.metadata_mut().insert("grpc-timeout", timeout.parse().expect("ASCII"));
    client.post_message(request).await.map(drop)
}
