//! Whatever bytes come over gRPC or Redis: they are a message of ours, or refused; what is taken
//! survives the trip back.

use chat_core::{Change, ChatError, Conversation, Event, Inbox, Message};
use proptest::{collection::vec, option, prelude::*, sample::select};
use prost::Message as _;
use switchboard_proto::v1;

fn text() -> impl Strategy<Value = String> {
    let known = select(vec!["lobby", "alice", "0000000000000002", "ffffffffffffffff", "", "\0"]);
    prop_oneof![any::<String>(), known.prop_map(str::to_owned)]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z0-9_.-]{2,32}", 1 => text()]
}

fn place() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("lobby".to_owned()), 3 => "0[0-9a-f]{15}", 1 => text()]
}

fn moment() -> impl Strategy<Value = Option<prost_types::Timestamp>> {
    let seconds = prop_oneof![any::<i64>(), 0..4_000_000_000_i64, Just(i64::MAX), Just(i64::MIN)];
    option::weighted(0.9, (seconds, any::<i32>()))
        .prop_map(|at| at.map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }))
}

fn author() -> impl Strategy<Value = Option<v1::Party>> {
    use v1::party::Kind;
    let kind = prop_oneof![
        (any::<u64>(), name()).prop_map(|(id, name)| Kind::User(v1::User { id, name })),
        name().prop_map(Kind::Guest),
    ];
    option::weighted(0.9, kind.prop_map(|kind| v1::Party { kind: Some(kind) }))
}

fn message() -> impl Strategy<Value = v1::Message> {
    let numbers = (any::<u64>(), any::<u64>(), any::<bool>(), any::<i32>());
    let words = (place(), author(), text(), vec(text(), 0..3), "[ -~]{0,70}");
    (numbers, words, moment(), moment()).prop_map(|(numbers, words, created_at, edited_at)| {
        let (id, seq, is_read, via) = numbers;
        let (conversation, author, text, media, client_id) = words;
        v1::Message {
            id,
            conversation,
            seq,
            author,
            text,
            media,
            created_at,
            edited_at,
            is_read,
            client_id,
            via,
        }
    })
}

fn change() -> impl Strategy<Value = v1::Change> {
    use v1::change::Kind;
    let kind = prop_oneof![
        message().prop_map(Kind::Posted),
        message().prop_map(Kind::Edited),
        any::<u64>().prop_map(|message_id| Kind::Deleted(v1::MessageDeleted { message_id })),
        (any::<u64>(), any::<u64>(), name()).prop_map(|(id, message_id, name)| {
            let reader = Some(v1::User { id, name });
            Kind::Read(v1::MessageRead { message_id, author_id: id, reader })
        }),
        Just(Kind::Void(v1::MessageVoid {})),
    ];
    (place(), any::<u64>(), option::of(kind)).prop_map(|(conversation, seq, kind)| v1::Change {
        conversation,
        seq,
        origin: None,
        kind,
    })
}

fn fleeting() -> impl Strategy<Value = v1::Fleeting> {
    use v1::fleeting::Kind;
    (place(), name(), any::<u64>(), any::<u64>(), 0..4).prop_map(
        |(conversation, name, ago_us, number, kind)| {
            let origin = Some(v1::SocketKey { gateway: number, number });
            let presence = v1::RoomPresence { conversation, name, origin, ago_us };
            let kind = match kind {
                0 => Kind::Entered(presence),
                1 => Kind::Typing(presence),
                2 => Kind::Left(presence),
                _ => Kind::Relayed(v1::Relayed { body: presence.name, origin }),
            };
            v1::Fleeting { kind: Some(kind) }
        },
    )
}

fn event(change: v1::Change) -> v1::Event {
    v1::Event { kind: Some(v1::event::Kind::Change(change)), ..v1::Event::default() }
}

/// Decodes and converts; what is taken is taken again after the trip back, and is the same.
fn taken<W, M>(bytes: &[u8])
where
    W: prost::Message + Default + for<'a> From<&'a M>,
    M: TryFrom<W, Error = ChatError> + PartialEq + std::fmt::Debug,
{
    let Ok(wire) = W::decode(bytes) else { return };
    match M::try_from(wire) {
        Ok(model) => assert_eq!(M::try_from(W::from(&model)), Ok(model)),
        Err(error) => assert!(error.code().http() < 500 && error.message().len() < 300, "{error}"),
    }
}

fn all(bytes: &[u8]) {
    taken::<v1::Event, Event>(bytes);
    taken::<v1::Change, Change>(bytes);
    taken::<v1::Message, Message>(bytes);
    taken::<v1::Conversation, Conversation>(bytes);
    taken::<v1::GetInboxResponse, Inbox>(bytes);
}

proptest! {
    #[test]
    fn every_event_is_taken_or_refused(change in change(), fleeting in fleeting()) {
        taken::<v1::Event, Event>(&event(change).encode_to_vec());
        let fleeting = v1::event::Kind::Fleeting(fleeting);
        let event = v1::Event { kind: Some(fleeting), ..v1::Event::default() };
        taken::<v1::Event, Event>(&event.encode_to_vec());
    }

    #[test]
    fn every_byte_string_is_taken_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        all(&bytes);
    }

    #[test]
    fn events_with_broken_bytes_are_taken_or_refused(
        change in change(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = event(change).encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        all(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        all(&bytes);
    }
}
