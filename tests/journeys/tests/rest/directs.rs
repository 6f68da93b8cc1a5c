//! A direct conversation by 001's REST: there for its two, and for nobody else.

use journeys::{Product, product, rest::Person};
use serde_json::json;
use switchboard_proto::{
    AUTHORIZATION,
    v1::{
        OpenDirectRequest, Party, User, chat_service_client::ChatServiceClient,
        open_direct_request::Peer, party::Kind,
    },
};

/// Opens it as the gateway does for 002 and 003; answers its URL in 001.
async fn direct(product: &Product, from: &Person, to: &Person) -> String {
    let url = product.arena.stack.urls().grpc(1);
    let mut client = ChatServiceClient::connect(url).await.expect("message-api's gRPC");
    let id = journeys::tokens::claims(&from.token)["userId"].as_u64().expect("a number");
    let caller = Party { kind: Some(Kind::User(User { id, name: from.name.clone() })) };
    let peer = Some(Peer::PeerName(to.name.clone()));
    let mut request = tonic::Request::new(OpenDirectRequest { caller: Some(caller), peer });
    let shown = format!("Bearer {}", product.service_token());
    request.metadata_mut().insert(AUTHORIZATION, shown.parse().expect("metadata"));
    let answer = client.open_direct(request).await.expect("a direct").into_inner();
    format!("/api/conversations/{}", answer.conversation.expect("it is there").id)
}

#[tokio::test]
async fn its_two_read_and_write_it_and_others_never_learn_of_it() {
    let product = product().await;
    let site = product.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let eve = site.newcomer("eve").await;
    let direct = direct(&product, &alice, &bob).await;

    let said = site.says(&alice, &direct, "for bob only").await;
    site.says(&bob, &direct, "for alice only").await;
    assert_eq!(site.texts(&bob, &direct).await, ["for bob only", "for alice only"]);
    for ask in [
        site.get(&direct),
        site.post(&direct).json(&json!({"text": "let me in"})),
        site.get(&said),
        site.delete(&said),
    ] {
        ask.cookie(&eve.cookie).await.is(404, json!({"status": "not found"}));
    }
    site.delete(&said).cookie(&bob.cookie).await.is(403, json!({"status": "unauthorised"}));
}

#[tokio::test]
async fn it_is_in_no_list() {
    let product = product().await;
    let site = product.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let direct = direct(&product, &alice, &bob).await;
    let id = direct.rsplit('/').next().expect("an id");
    site.says(&alice, &direct, "hi").await;
    let list = site.get("/api/conversations/?limit=1000").cookie(&alice.cookie).await;
    assert!(!list.text.contains(id), "{}", list.text);
    assert!(!site.get("/api/rooms").await.text.contains(id));
}
