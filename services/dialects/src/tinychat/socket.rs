//! Hop 1 of 10: 000's `send:message` comes in and is relayed to every other socket, on every
//! gateway. Nothing is stored: the client posts the same message by REST.
//! From the client; next the gateway's `whisper.rs`. What comes back out is hop 10, `render.rs`.

use std::time::Duration;

use async_trait::async_trait;
use chat_core::{ChatError, Code, ConversationId, Fleeting, Follow, Result, Topic};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};

use super::{render::Tinychat, wire::Submission};
use crate::{
    pace::Pace,
    socket::{Client, Conversing, Leg},
};

/// Most bytes of a relayed payload.
const RELAYED_MAX: usize = 16 * 1024;

/// Most messages that one socket may have relayed in a second: each goes to every socket there is.
const RELAYED_PER_SECOND: u32 = 100;

/// The same for a guest.
const RELAYED_PER_SECOND_BY_GUESTS: u32 = 20;

/// How long to wait before the lobby is asked for again.
const RETRY: Duration = Duration::from_secs(5);

/// 000's socket leg.
#[derive(Clone, Copy, Debug)]
pub struct TinychatLeg;

#[async_trait]
impl Leg for TinychatLeg {
    fn protocol(&self) -> &'static str {
        "tinychat"
    }

    fn namespace(&self) -> &'static str {
        "/tinychat"
    }

    fn knows(&self, event: &str, _: &Value) -> bool {
        event == "send:message"
    }

    async fn open(&self, client: Client) -> Result<Box<dyn Conversing>> {
        let feed = &client.ports.feed;
        let relay = feed.listen(Topic::Relay, client.listener(&Tinychat)).await?;
        let lobby = Lobby::follow(&client).await;
        let most = match client.session {
            Some(_) => RELAYED_PER_SECOND,
            None => RELAYED_PER_SECOND_BY_GUESTS,
        };
        let pace = Pace::new(most, Duration::from_secs(1));
        Ok(Box::new(TinychatSocket { client, pace, _relay: relay, _lobby: lobby }))
    }
}

/// What other protocols say in the lobby, until this is dropped. The relay needs nobody but the
/// gateways, so a socket that comes while message-api is away hears that at once, and this as soon
/// as it can be had.
enum Lobby {
    Heard { _follow: Follow },
    Awaited(JoinHandle<()>),
}

impl Lobby {
    async fn follow(client: &Client) -> Self {
        match follow_lobby(client).await {
            Ok(follow) => Self::Heard { _follow: follow },
            Err(_) => Self::Awaited(client.ports.tasks.spawn(keep_trying(client.clone()))),
        }
    }
}

impl Drop for Lobby {
    fn drop(&mut self) {
        if let Self::Awaited(task) = self {
            task.abort();
        }
    }
}

async fn follow_lobby(client: &Client) -> Result<Follow> {
    let listener = client.listener(&Tinychat);
    client.ports.feed.follow(ConversationId::LOBBY, None, listener).await
}

/// Ends with its socket, or when the process stops.
async fn keep_trying(client: Client) {
    let tasks = client.ports.tasks.clone();
    let trying = async {
        loop {
            sleep(RETRY).await;
            if let Ok(follow) = follow_lobby(&client).await {
                break follow;
            }
        }
    };
    tokio::select! {
        () = tasks.begun() => {}
        _follow = trying => tasks.begun().await,
    }
}

struct TinychatSocket {
    client: Client,
    pace: Pace,
    _relay: Follow,
    _lobby: Lobby,
}

#[async_trait]
impl Conversing for TinychatSocket {
    async fn handle(&mut self, _: &str, payload: Value) -> Result<Value> {
        let ports = &self.client.ports;
        let body = payload.to_string();
        if body.len() > RELAYED_MAX {
            let rule = format!("a relayed message is at most {RELAYED_MAX} bytes");
            return Err(ChatError::new(Code::PayloadTooLarge, rule));
        }
        let submission = Submission::parse(&payload, &ports.limits)?;
        let slow_down =
            |wait| ChatError::rate_limited("too many messages a second, slow down", wait);
        self.pace.take().map_err(slow_down)?;
        let user = self.client.session.as_ref().map(|session| &session.user);
        submission.caller(&*ports.chat, user).await?;
        let (body, origin) = (body.into_boxed_str(), self.client.key);
        ports.feed.whisper(Topic::Relay, Fleeting::Relayed { body, origin });
        Ok(json!({"success": true}))
    }

    async fn close(&mut self) {}
}
