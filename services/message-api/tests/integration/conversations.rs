//! The list of rooms, and who may begin conversations.

use chat_core::{Caller, Chat, Code, ConversationId, User, UserId, model::Peer};

use crate::support::{World, guest, refusal, title, username};

#[tokio::test]
async fn rooms_are_listed_by_their_newest_activity_page_by_page() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    replica.user("bob").await;
    let mut rooms = Vec::new();
    for n in 0..5 {
        rooms.push(replica.room(&alice, &format!("room {n}")).await);
        replica.says(&alice, rooms[n], "hi").await;
    }
    let peer = Peer::Name(username("bob"));
    let direct = replica.rules.open_direct(&alice, peer).await.expect("opens").id;
    replica.says(&alice, direct, "not listed").await;
    replica.says(&alice, rooms[1], "newest").await;
    for limit in [1, 2, 3, 6, 1_000] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = replica.rules.rooms(after, limit).await.expect("a page");
            listed.extend(page.conversations);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let counts: Vec<_> = listed.iter().map(|room| room.message_count).collect();
        let ids: Vec<_> = listed.iter().map(|room| room.id).collect();
        let lobby = ConversationId::LOBBY;
        assert_eq!(ids, [rooms[1], rooms[4], rooms[3], rooms[2], rooms[0], lobby], "{limit}");
        assert_eq!(counts, [2, 1, 1, 1, 1, 0]);
    }
    let refused = replica.rules.rooms(Some("no cursor".into()), 1).await;
    assert_eq!(refusal(refused.map(|page| page.next)), Code::InvalidPayload);
}

#[tokio::test]
async fn guests_begin_nothing_and_nobody_talks_to_themselves() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let rules = &replica.rules;
    let greta = guest("greta");
    let to = |name| Peer::Name(username(name));
    assert_eq!(refusal(rules.create_room(&greta, title("room")).await), Code::Unauthorised);
    assert_eq!(refusal(rules.open_direct(&greta, to("alice")).await), Code::Unauthorised);
    assert_eq!(refusal(rules.open_direct(&alice, to("ALICE")).await), Code::InvalidRecipient);
    assert_eq!(refusal(rules.open_direct(&alice, to("nobody")).await), Code::UnknownUser);
    let unknown = Peer::Id(UserId(u64::MAX));
    assert_eq!(refusal(rules.open_direct(&alice, unknown).await), Code::UnknownUser);
    let nowhere = ConversationId::random();
    assert_eq!(refusal(replica.tries(&alice, nowhere, "hi", None).await), Code::NotFound);
}

#[tokio::test]
async fn a_caller_who_is_not_who_they_are_said_to_be_is_refused() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await.user().expect("a user").clone();
    let liars = [
        Caller::User(User { id: UserId(alice.id.0 + 1), name: alice.name.clone() }),
        Caller::User(User { id: alice.id, name: username("bob") }),
    ];
    for liar in liars {
        let posted = replica.tries(&liar, ConversationId::LOBBY, "hi", None).await;
        assert_eq!(refusal(posted), Code::Unauthorised);
        let room = replica.rules.create_room(&liar, title("room")).await;
        assert_eq!(refusal(room), Code::Unauthorised);
    }
}
