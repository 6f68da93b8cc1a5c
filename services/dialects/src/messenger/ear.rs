//! Hop 10 of 10, last part: adds to rendered frames what differs from socket to socket. From
//! `render.rs`; next the client.
//!
//! One task a socket, so that a chat comes before the count that it changes. It asks how many are
//! unread only once a burst of chats is out, so that a burst costs one question.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{ChatError, CloseReason, ConversationId, Frame, Result, Sink, Username};
use serde::Deserialize;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};

use super::{
    peers::Peers,
    render::{COUNT, EDITED_LINE, LINE, RECOUNT, USER_LEAVE},
    wire::{Line, OneChat, UnreadCount},
};
use crate::socket::Client;

/// Frames that may wait for their completion.
const QUEUE: usize = 1_024;

/// Frames after which the counts are told although more frames wait.
const BURST: usize = 64;

/// How long to wait before a question that failed is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// The way to one socket through its task.
pub(super) struct Ear {
    queue: mpsc::Sender<Frame>,
    sink: Arc<dyn Sink>,
}

#[async_trait]
impl Sink for Ear {
    fn deliver(&self, frame: &Frame) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(frame.clone()) {
            self.close(CloseReason::SlowReader);
        }
    }

    async fn has_room(&self) {
        self.sink.has_room().await;
    }

    fn close(&self, reason: CloseReason) {
        self.sink.close(reason);
    }
}

/// Starts a socket's task; it ends once nobody delivers to the answer any more.
pub(super) fn start(client: &Client, peers: &Arc<Peers>) -> Arc<dyn Sink> {
    let (queue, frames) = mpsc::channel(QUEUE);
    let task = Completing {
        client: client.clone(),
        peers: Arc::clone(peers),
        due: BTreeSet::new(),
        told: HashMap::new(),
    };
    client.ports.tasks.spawn(task.run(frames));
    Arc::new(Ear { queue, sink: Arc::clone(&client.sink) })
}

struct Completing {
    client: Client,
    peers: Arc<Peers>,
    /// Directs whose unread are to be counted.
    due: BTreeSet<ConversationId>,
    /// What this socket was told last.
    told: HashMap<ConversationId, u64>,
}

impl Completing {
    async fn run(mut self, mut frames: mpsc::Receiver<Frame>) {
        loop {
            let next = if self.due.is_empty() {
                frames.recv().await
            } else {
                match timeout(AGAIN, frames.recv()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.tell_counts().await;
                        continue;
                    }
                }
            };
            let Some(next) = next else { return };
            let mut burst = vec![next];
            while burst.len() < BURST
                && let Ok(more) = frames.try_recv()
            {
                burst.push(more);
            }
            for frame in burst {
                if let Err(error) = self.hand_on(&frame).await {
                    tracing::warn!(%error, "a chat could not be addressed");
                    // It comes back and fetches what it missed.
                    self.client.sink.close(CloseReason::SlowReader);
                    return;
                }
            }
            self.tell_counts().await;
        }
    }

    async fn hand_on(&mut self, frame: &Frame) -> Result<()> {
        match frame.name {
            LINE => self.address("chat", frame).await?,
            EDITED_LINE => self.address("edit-chat", frame).await?,
            COUNT => drop(self.due.insert(ConversationId::from_raw(read(frame)?))),
            RECOUNT => {
                let conversation = ConversationId::from_raw(read(frame)?);
                // Where nothing was unread, a deletion does not change that.
                if self.told.get(&conversation) != Some(&0) {
                    self.due.insert(conversation);
                }
            }
            name => {
                if name == USER_LEAVE {
                    self.peers.forget(&read::<Left>(frame)?.user);
                }
                self.client.sink.deliver(frame);
            }
        }
        Ok(())
    }

    async fn address(&self, name: &'static str, frame: &Frame) -> Result<()> {
        let line: Line = read(frame)?;
        if frame.name == LINE && self.peers.has_sent(line.id()) {
            return Ok(());
        }
        let me = &self.peers.me().name;
        let chat = if line.sender() == me.as_str() {
            let peer = self.peers.peer_in(line.conversation()).await?;
            Frame::new(name, &OneChat { chat: line.between(me, &peer) })
        } else {
            Frame::new(name, &OneChat { chat: line.between(me, me) })
        };
        self.client.sink.deliver(&chat);
        Ok(())
    }

    /// Tells the counts that are due. What can't be had now stays due.
    async fn tell_counts(&mut self) {
        for conversation in std::mem::take(&mut self.due) {
            match self.count(conversation).await {
                Ok((peer, unread)) => self.tell(conversation, &peer, unread),
                Err(error) if error.code().is_transient() => drop(self.due.insert(conversation)),
                Err(error) => tracing::warn!(%error, "the unread could not be counted"),
            }
        }
    }

    async fn count(&self, conversation: ConversationId) -> Result<(Username, u64)> {
        let peer = self.peers.peer_in(conversation).await?;
        let chat = &self.client.ports.chat;
        Ok((peer, chat.unread_count(&self.peers.caller(), conversation).await?))
    }

    fn tell(&mut self, conversation: ConversationId, peer: &Username, unread: u64) {
        self.told.insert(conversation, unread);
        let count = UnreadCount { user: Some(peer.as_str()), unread_chats_count: unread };
        self.client.sink.deliver(&Frame::new("unread-chats-count", &count));
    }
}

#[derive(Deserialize)]
struct Left {
    user: String,
}

fn read<'a, T: Deserialize<'a>>(frame: &'a Frame) -> Result<T> {
    serde_json::from_str(frame.body.get())
        .map_err(|cause| ChatError::internal("a frame of our own", cause))
}
