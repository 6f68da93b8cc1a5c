//! Pub/sub: a connection that hears the channels of one lane.
//!
//! In a cluster it is a plain connection to the master that holds the lane, not the library's
//! cluster client, which subscribes again only long after a master came back. When the slot moves
//! away the connection ends, like any that broke; whoever makes it anew finds the new owner.

use std::{io, time::Duration};

use redis::{
    AsyncConnectionConfig, Msg, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult,
    aio::{MultiplexedConnection, PubSubSink, PubSubStream},
};
use tokio::{
    sync::mpsc::{self, Receiver},
    time::timeout,
};

use crate::{Lane, Redis};

/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Messages of a shard that may wait; more are dropped, and repaired like all that is lost.
const QUEUE: usize = 65_536;

/// Subscribes and unsubscribes.
#[derive(Debug)]
pub enum EarSink {
    /// On one server.
    Plain(PubSubSink),
    /// On a master of a cluster.
    Shard(MultiplexedConnection),
}

/// What is heard.
pub enum EarStream {
    /// On one server.
    Plain(PubSubStream),
    /// On a master of a cluster.
    Shard(Receiver<PushInfo>),
}

impl Redis {
    /// Connects to whoever holds the lane; hears nothing yet.
    pub async fn hear(&self, lane: &Lane) -> RedisResult<(EarSink, EarStream)> {
        let connected = bounded(async {
            let node = self.node(lane)?;
            if self.is_cluster() {
                shard(node.client()).await
            } else {
                let (sink, stream) = node.client().get_async_pubsub().await?.split();
                Ok((EarSink::Plain(sink), EarStream::Plain(stream)))
            }
        });
        let connected = connected.await;
        if connected.is_err() {
            self.doubt();
        }
        connected
    }

    /// The ear has failed or is deaf: somebody else may hold the lane.
    pub fn lost_ear(&self) {
        self.doubt();
    }
}

async fn shard(client: &redis::Client) -> RedisResult<(EarSink, EarStream)> {
    let info = client.get_connection_info().clone();
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = redis::Client::open(info.set_redis_settings(settings))?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let heard = move |push: PushInfo| {
        sender.try_send(push).inspect_err(|_| {
            metrics::counter!("switchboard_bus_overflow_total").increment(1);
        })
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER))
        .set_response_timeout(Some(ANSWER))
        .set_push_sender(heard);
    let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    Ok((EarSink::Shard(connection), EarStream::Shard(receiver)))
}

impl EarSink {
    /// Hears these channels too, once this returns.
    pub async fn subscribe(&mut self, channels: Vec<String>) -> RedisResult<()> {
        bounded(async {
            match self {
                Self::Plain(sink) => sink.subscribe(channels).await,
                Self::Shard(connection) => each(connection, "SSUBSCRIBE", &channels).await,
            }
        })
        .await
    }

    /// Hears these channels no more.
    pub async fn unsubscribe(&mut self, channels: Vec<String>) -> RedisResult<()> {
        bounded(async {
            match self {
                Self::Plain(sink) => sink.unsubscribe(channels).await,
                Self::Shard(connection) => each(connection, "SUNSUBSCRIBE", &channels).await,
            }
        })
        .await
    }
}

/// A command for each channel: the library counts one answer for each, as Redis gives them.
async fn each(
    connection: &mut MultiplexedConnection,
    verb: &str,
    channels: &[String],
) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    for channel in channels {
        pipeline.cmd(verb).arg(channel).ignore();
    }
    pipeline.exec_async(connection).await
}

impl EarStream {
    /// The next message. None: the connection is gone, or the slot with the channel `anchor`,
    /// which is never unsubscribed from.
    pub async fn next(&mut self, anchor: &str) -> Option<Msg> {
        match self {
            Self::Plain(stream) => futures_util::StreamExt::next(stream).await,
            Self::Shard(pushes) => loop {
                let push = pushes.recv().await?;
                match push.kind {
                    PushKind::SMessage => return Msg::from_push_info(push),
                    PushKind::SUnsubscribe if names(&push, anchor) => return None,
                    PushKind::Disconnection => return None,
                    _ => {}
                }
            },
        }
    }
}

fn names(push: &PushInfo, channel: &str) -> bool {
    matches!(push.data.first(), Some(redis::Value::BulkString(name)) if name == channel.as_bytes())
}

async fn bounded<T>(asked: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = || RedisError::from(io::Error::new(io::ErrorKind::TimedOut, "no answer"));
    timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(late()))
}
