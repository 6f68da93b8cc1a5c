//! What other services are told when something is wrong.

use std::time::Duration;

use chat_core::Code;
use sqlx::{ConnectOptions, Executor};
use switchboard_proto::{
    AUTHORIZATION,
    status::{DEADLINE_EXCEEDED, UNIMPLEMENTED, to_error},
    v1,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;

use crate::{
    process::{Client, Program, SERVICE_TOKEN, post, register},
    services::reason,
    support::World,
};

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
        change_password v1::ChangePasswordRequest::default()
            => "INVALID_PASSWORD" Some("new_password");
        change_password v1::ChangePasswordRequest {
            session: None, current_password: String::new(), new_password: "a new one".into()
        } => "INVALID_PAYLOAD" Some("session");
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
        mark_seen v1::MarkSeenRequest {
            caller: caller.clone(), conversation_id: lobby(), message_id: 1, seen: Some(Default::default())
        } => "INVALID_PAYLOAD" Some("message_id");
        mark_seen v1::MarkSeenRequest {
            caller: caller.clone(), conversation_id: lobby(), message_id: 9, ..Default::default()
        } => "NOT_FOUND" None;
        get_inbox v1::GetInboxRequest::default() => "INVALID_PAYLOAD" Some("caller");
        list_changes v1::ListChangesRequest::default()
            => "INVALID_PAYLOAD" Some("conversation_id");
        get_heads v1::GetHeadsRequest { conversation_ids: vec![lobby(); 10_001] }
            => "INVALID_PAYLOAD" Some("conversation_ids");
        post_message v1::PostMessageRequest { text: "x".repeat(2 << 20), ..Default::default() }
            => "PAYLOAD_TOO_LARGE" None;
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
