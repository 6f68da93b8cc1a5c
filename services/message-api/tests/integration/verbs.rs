//! The verbs of gRPC that list, delete and mark.

use chat_core::Code;
use switchboard_proto::{convert::timestamp, status::to_error, v1};

use crate::{
    process::{Client, Program, register},
    support::World,
};

async fn users(client: &mut Client, after: &str, limit: u32) -> (Vec<String>, String) {
    let request = v1::ListUsersRequest { after: after.into(), limit };
    let page = client.list_users(request).await.expect("lists").into_inner();
    (page.users.into_iter().map(|user| user.name).collect(), page.next)
}

fn user(party: &v1::Party) -> v1::User {
    match party.kind.clone() {
        Some(v1::party::Kind::User(user)) => user,
        _ => panic!("a user"),
    }
}

async fn open(client: &mut Client, caller: &v1::Party, peer: &str) -> v1::Conversation {
    let peer = Some(v1::open_direct_request::Peer::PeerName(peer.into()));
    let request = v1::OpenDirectRequest { caller: Some(caller.clone()), peer };
    let opened = client.open_direct(request).await.expect("opens").into_inner();
    opened.conversation.expect("a conversation")
}

#[tokio::test]
async fn users_directs_and_marks_travel_over_grpc() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let (alice, _) = (register(&mut client, "alice").await, register(&mut client, "Bob").await);
    assert_eq!(users(&mut client, "", 1).await, (vec!["alice".into()], "alice".into()));
    assert_eq!(users(&mut client, "ALICE", 5).await, (vec!["Bob".into()], String::new()));

    let direct = open(&mut client, &alice, "bob").await;
    let request = v1::ListDirectsRequest { caller: Some(alice.clone()), limit: 10 };
    let listed = client.list_directs(request).await.expect("lists").into_inner().conversations;
    assert_eq!((listed.len(), &listed[0]), (1, &direct));
    assert_eq!(listed[0].peers.len(), 2);

    let mut marks = Vec::new();
    let at = timestamp(time::macros::datetime!(2025-01-02 11:00:00.007 UTC));
    for seen in [Some(at), None] {
        let (caller, conversation_id) = (Some(alice.clone()), direct.id.clone());
        let request = v1::MarkSeenRequest { caller, conversation_id, seen, message_id: 0 };
        marks.push(client.mark_seen(request).await.expect("answers").into_inner().seen);
    }
    assert_eq!(marks, [None, Some(at)]);
}

#[tokio::test]
async fn an_inbox_and_its_marks_travel_over_grpc() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let (alice, bob) = (register(&mut client, "alice").await, register(&mut client, "bob").await);
    let direct = open(&mut client, &alice, "bob").await;
    let mut posted = Vec::new();
    for at in ["lobby", "lobby", &direct.id] {
        let post = v1::PostMessageRequest {
            caller: Some(bob.clone()),
            conversation_id: at.into(),
            text: "hi".repeat(150),
            ..Default::default()
        };
        let message = client.post_message(post).await.expect("posts").into_inner().message;
        posted.push(message.expect("a message"));
    }
    let seen = v1::MarkSeenRequest {
        caller: Some(alice.clone()),
        conversation_id: "lobby".into(),
        message_id: posted[0].id,
        seen: None,
    };
    client.mark_seen(seen).await.expect("marks");
    let request = v1::GetInboxRequest { caller: Some(alice), rooms_limit: 10, directs_limit: 10 };
    let inbox = client.get_inbox(request).await.expect("answers").into_inner();
    let last = |posted: &v1::Message| v1::LastMessage {
        message_id: posted.id,
        author: Some(bob.clone()),
        text: "hi".repeat(100),
        created_at: posted.created_at,
    };
    assert_eq!((inbox.rooms.len(), inbox.directs.len()), (1, 1));
    let (lobby, theirs) = (&inbox.rooms[0], &inbox.directs[0]);
    assert_eq!((lobby.unread, &lobby.last), (1, &Some(last(&posted[1]))));
    assert_eq!((theirs.unread, &theirs.last), (1, &Some(last(&posted[2]))));
    let conversation = theirs.conversation.as_ref().expect("a conversation");
    assert_eq!((&conversation.id, conversation.head, conversation.peers.len()), (&direct.id, 1, 2));

    let greta = v1::Party { kind: Some(v1::party::Kind::Guest("greta".into())) };
    let request = v1::GetInboxRequest { caller: Some(greta), rooms_limit: 1, directs_limit: 1 };
    let refused = client.get_inbox(request).await.expect_err("refused");
    assert_eq!(to_error(&refused).code(), Code::Unauthorised);
}

#[tokio::test]
async fn an_account_deleted_over_grpc_posts_no_more_and_what_it_wrote_says_how_it_came() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let (alice, bob) = (register(&mut client, "alice").await, register(&mut client, "bob").await);
    let post = v1::PostMessageRequest {
        caller: Some(alice.clone()),
        conversation_id: "lobby".into(),
        text: "hi".into(),
        via: v1::Via::Tinychat.into(),
        ..Default::default()
    };
    let posted = client.post_message(post.clone()).await.expect("posts").into_inner().message;
    let posted = posted.expect("a message");
    assert_eq!(posted.via(), v1::Via::Tinychat);
    for _ in 0..2 {
        let request = v1::DeleteAccountRequest { user: Some(user(&alice)) };
        client.delete_account(request).await.expect("deletes");
    }
    let refused = client.post_message(post).await.expect_err("refused");
    assert_eq!(to_error(&refused).code(), Code::Unauthorised);
    let request = v1::GetMessageRequest { caller: Some(bob), message_id: posted.id };
    let found = client.get_message(request).await.expect("there").into_inner().message;
    assert_eq!(found, Some(posted));
    let nobody = client.delete_account(v1::DeleteAccountRequest::default()).await;
    assert_eq!(to_error(&nobody.expect_err("refused")).code(), Code::InvalidPayload);
}
