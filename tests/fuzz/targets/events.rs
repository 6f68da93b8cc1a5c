//! Protobuf of the services: events on Redis, and what is called by gRPC.
#![no_main]

use chat_core::{Change, ChatError, Conversation, Event, Inbox, Message};
use switchboard_proto::v1;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    taken::<v1::Event, Event>(bytes);
    taken::<v1::Change, Change>(bytes);
    taken::<v1::Message, Message>(bytes);
    taken::<v1::Conversation, Conversation>(bytes);
    taken::<v1::GetInboxResponse, Inbox>(bytes);
});

/// Decodes and converts; what is taken is taken again after the trip back, and is the same.
fn taken<W, M>(bytes: &[u8])
where
    W: prost::Message + Default + for<'a> From<&'a M>,
    M: TryFrom<W, Error = ChatError> + PartialEq + std::fmt::Debug,
{
    let Ok(wire) = W::decode(bytes) else { return };
    match M::try_from(wire) {
        Ok(model) => assert_eq!(M::try_from(W::from(&model)), Ok(model)),
        Err(error) => dialects::hostile::refused(&error),
    }
}
