//! What `make guard` counts of the bus: decoding an event.

use std::sync::Mutex;

use ::guard::measure;
use redis::Value;

use prost::Message as _;
use switchboard_proto::v1;

use super::*;
use crate::feed::testing::post;

/// Remembers what it hears.
#[derive(Default)]
struct Witness(Mutex<Option<(Topic, Event)>>);

#[async_trait]
impl Hearer for Witness {
    fn hear(&self, topic: Topic, event: Event) {
        *self.0.lock().unwrap() = Some((topic, event));
    }

    async fn back(&self, _: Option<Instant>) {}
}

#[test]
#[ignore = "counted by `make guard`"]
fn guard() {
    let (topic, event) = (
        Topic::Conversation(chat_core::ConversationId::LOBBY),
        Event::Change(post(chat_core::ConversationId::LOBBY, 7, 100)),
    );
    let parts = [
        b"message".to_vec(),
        format!("guard:{topic}").into_bytes(),
        v1::Event::from(&event).encode_to_vec(),
    ];
    let parts = parts.into_iter().map(Value::BulkString).collect();
    let message = redis::Msg::from_owned_value(Value::Array(parts)).unwrap();
    let redis = Redis::single("redis://127.0.0.1", "guard").unwrap();
    let lane = redis.lanes()[0].clone();
    let probe = Arc::new(Probe::new(&lane, 1));
    let ear = Ear::new(lane, probe);
    let witness = Witness::default();
    measure("subscriber: decode a post", || ear.take(&message, &witness));
    let heard = witness.0.lock().unwrap().take();
    assert_eq!(heard, Some((topic, event)));
}
