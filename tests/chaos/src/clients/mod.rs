//! Clients that behave like real ones: they send, try again with the same key, reconnect to
//! either gateway with a jittered pause, log in again when told to, and catch up.

mod chatto;
mod conversations;
mod ears;
mod known;
mod me;
mod messenger;
mod one_to_one;
mod rest;
mod tinychat;

use std::time::Duration;

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

pub(crate) use self::me::{PASSWORD, number};
pub use self::{
    chatto::Chatto,
    conversations::Conversations,
    me::{Me, Outlet, Phase, original},
    messenger::Messenger,
    one_to_one::OneToOne,
    rest::Rest,
    tinychat::Tinychat,
};
use crate::books::Sent;

/// How long connecting and catching up may take before a client tries elsewhere.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// How long a client waits for an answer before it gives its connection up.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// What came of one attempt to send.
#[derive(Debug)]
pub enum Answer {
    /// It is durable: its id, its place where the protocol tells it.
    Stored(u64, Option<u64>),
    /// Refused, or nobody knows: a sentence.
    Open(String),
}

/// One protocol's side of a client.
#[async_trait]
pub trait Dialect: Send {
    /// Connects and catches up; the socket stays within.
    async fn open(&mut self, me: &mut Me) -> Result<()>;

    /// Writes down what has come since.
    fn note(&mut self, me: &mut Me);

    /// Why there is no connection, if so.
    fn end(&self) -> Option<String>;

    /// Sends once.
    async fn send(&mut self, me: &mut Me, parcel: &Sent) -> Answer;

    /// Changes, deletes or reads something, now and then.
    async fn meddle(&mut self, me: &mut Me) {
        me.revise_in_room().await;
    }

    /// Leaves: politely, or without a word.
    fn close(&mut self, politely: bool);
}

/// What is sent, with the parcel's key, if it has one.
fn with_key(mut data: Value, parcel: &Sent) -> Value {
    if let Some(key) = &parcel.key {
        data["clientId"] = json!(key);
    }
    data
}

/// One client from its beginning to its end.
pub async fn live(mut dialect: impl Dialect, mut me: Me) {
    let mut open = false;
    loop {
        dialect.note(&mut me);
        match me.phase() {
            Phase::Over => break,
            Phase::Farewell if me.is_leaver => {
                dialect.close(true);
                return me.goes();
            }
            _ => {}
        }
        if open && let Some(reason) = dialect.end() {
            me.is_cut(&reason);
            open = false;
        }
        if !open {
            let outcome = timeout(CONNECT_WITHIN, dialect.open(&mut me)).await;
            match outcome.unwrap_or_else(|_| Err(anyhow!("it took too long"))) {
                Ok(()) => {
                    dialect.note(&mut me);
                    me.is_settled();
                    open = true;
                }
                Err(why) => {
                    dialect.note(&mut me);
                    dialect.close(false);
                    me.is_cut(&format!("not settled: {why:#}"));
                    me.backs_off().await;
                }
            }
            continue;
        }
        send_something(&mut dialect, &mut me).await;
        dialect.note(&mut me);
        let pause = me.rng.random_range(100..450);
        sleep(Duration::from_millis(pause)).await;
    }
    dialect.close(true);
}

async fn send_something(dialect: &mut impl Dialect, me: &mut Me) {
    let Some(parcel) = me.parcel() else { return };
    match dialect.send(me, &parcel).await {
        Answer::Stored(id, seq) => {
            me.stored(&parcel, id, seq);
            if me.rng.random_bool(0.15) {
                dialect.meddle(me).await;
            }
        }
        Answer::Open(trouble) => {
            me.unanswered(&parcel, trouble);
            me.backs_off().await;
        }
    }
}
