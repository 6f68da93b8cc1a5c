//! Whatever is published in Redis is an event of ours, or is left: the lane lives on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use chat_core::{ConversationId, Event, Topic};
use proptest::prelude::*;
use prost::Message as _;
use redis::Value;
use redis_link::Redis;
use switchboard_proto::v1;
use tokio::time::Instant;

use super::{Hearer, ear::Ear};
use crate::{feed::testing::post, probe::Probe};

#[derive(Default)]
struct Counting(AtomicUsize);

#[async_trait]
impl Hearer for Counting {
    fn hear(&self, _: Topic, _: Event) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    async fn back(&self, _: Option<Instant>) {}
}

fn message(channel: &[u8], payload: &[u8]) -> redis::Msg {
    let parts = [&b"message"[..], channel, payload];
    let parts = parts.map(|part| Value::BulkString(part.to_vec())).to_vec();
    redis::Msg::from_owned_value(Value::Array(parts)).expect("a message")
}

proptest! {
    #[test]
    fn whatever_is_published_harms_nothing(
        channel in "(hostile:)?[a-z]{0,12}(:[a-z0-9]{0,20})?", payload: Vec<u8>,
        at: prop::sample::Index, byte: u8, published_us: u64, traceparent: String,
    ) {
        let redis = Redis::single("redis://127.0.0.1", "hostile").expect("an address");
        let lane = redis.lanes()[0].clone();
        let ear = Ear::new(lane.clone(), Arc::new(Probe::new(&lane, 1)));
        let hearer = Counting::default();
        let lobby = ConversationId::LOBBY;
        let own = lane.channel(Topic::Conversation(lobby));
        ear.take(&message(channel.as_bytes(), &payload), &hearer);
        ear.take(&message(own.as_bytes(), &payload), &hearer);
        let event = v1::Event::from(&Event::Change(post(lobby, u64::MAX, 10)));
        let mut bytes = v1::Event { published_us, traceparent, ..event }.encode_to_vec();
        let before = hearer.0.load(Ordering::Relaxed);
        ear.take(&message(own.as_bytes(), &bytes), &hearer);
        prop_assert_eq!(hearer.0.load(Ordering::Relaxed), before + 1);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        ear.take(&message(own.as_bytes(), &bytes), &hearer);
    }
}
