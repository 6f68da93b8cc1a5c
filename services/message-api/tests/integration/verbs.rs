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
