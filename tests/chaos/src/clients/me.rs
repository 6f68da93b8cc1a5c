//! What every client has, whatever its protocol: an account, a diary, dice, a parcel to deliver.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use harness::{Answer, Http, PlainSocket, Refused, SocketIo};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::ANSWER_WITHIN;
use crate::books::{Acked, Books, Connection, Diary, How, Receipt, Sent, What};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "open sesame";

/// How long opening a connection may take.
const OPEN_WITHIN: Duration = Duration::from_secs(6);

/// What is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everybody connects.
    Gather,
    /// Everybody sends.
    Storm,
    /// Nobody sends anything new.
    Settle,
    /// Those who leave do so.
    Farewell,
    /// The end.
    Over,
}

/// Where the product is, and how far the seed has come.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// The gateways' sockets.
    pub gateways: Vec<String>,
    /// REST.
    pub apis: Vec<String>,
    /// What is on.
    pub phase: watch::Receiver<Phase>,
    /// Where to write.
    pub books: Arc<Books>,
}

/// One client's own.
#[derive(Debug)]
pub struct Me {
    /// The account's name.
    pub name: String,
    /// Does it leave in [`Phase::Farewell`]?
    pub is_leaver: bool,
    /// Where 001 and 004 clients talk.
    pub rooms: Vec<String>,
    /// Its dice.
    pub rng: StdRng,
    /// The token of its newest session.
    pub token: String,
    outlet: Outlet,
    gateway: usize,
    failures: u32,
    parcel: Option<Sent>,
    count: u32,
    segment: usize,
    speaks: bool,
}

impl Me {
    /// Somebody with an account.
    #[must_use]
    pub fn new(name: &str, token: String, outlet: Outlet, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            is_leaver: false,
            rooms: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            token,
            gateway: seed as usize % outlet.gateways.len(),
            outlet,
            failures: 0,
            parcel: None,
            count: 0,
            segment: 0,
            speaks: true,
        }
    }

    /// It only listens.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.speaks = false;
        self
    }

    /// What is on.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.outlet.phase.borrow()
    }

    /// The URL of the gateway to try now.
    #[must_use]
    pub fn gateway(&self) -> String {
        self.outlet.gateways[self.gateway].clone()
    }

    /// Writes into the diary.
    pub fn write<T>(&self, note: impl FnOnce(&mut Diary) -> T) -> T {
        self.outlet.books.write(&self.name, note)
    }

    /// A number for what comes from here on.
    pub fn next_segment(&mut self) -> usize {
        self.segment += 1;
        self.segment
    }

    /// Waits with jitter, longer after each failure, and turns to the next gateway.
    pub async fn backs_off(&mut self) {
        let most = 200_u64 << self.failures.min(3);
        self.failures += 1;
        if self.rng.random_bool(0.6) {
            self.gateway = (self.gateway + 1) % self.outlet.gateways.len();
        }
        let pause = self.rng.random_range(50..most);
        sleep(Duration::from_millis(pause)).await;
    }

    /// A connection is open; what comes next comes on it.
    pub fn is_connected(&mut self) {
        let (gateway, opened) = (self.gateway + 1, self.outlet.books.now());
        self.write(|diary| {
            let connection =
                Connection { gateway, opened, settled: None, closed: None, seen: BTreeMap::new() };
            diary.connections.push(connection);
            diary.roster = None;
        });
    }

    /// It is caught up as well.
    pub fn is_settled(&mut self) {
        self.failures = 0;
        let now = self.outlet.books.now();
        self.write(|diary| {
            diary.settled = true;
            if let Some(last) = diary.connections.last_mut() {
                last.settled = Some(now);
            }
        });
    }

    /// The connection is gone.
    pub fn is_cut(&mut self, reason: &str) {
        let now = self.outlet.books.now();
        self.write(|diary| {
            diary.settled = false;
            if let Some(last) = diary.connections.last_mut() {
                last.closed.get_or_insert((now, reason.to_owned()));
            }
        });
    }

    /// It leaves for good.
    pub fn goes(&mut self) {
        self.is_cut("left");
        self.write(|diary| diary.gone = true);
    }

    /// Writes down what was heard.
    pub fn heard(&self, how: How, what: What, segment: usize, message: Told<'_>) {
        let at = self.outlet.books.now();
        let Told { id, seq, text } = message;
        let text = text.map(str::to_owned);
        self.write(|diary| {
            let connection = diary.connections.len();
            diary.heard.push(Receipt { at, connection, segment, how, what, id, seq, text });
        });
    }

    /// Writes down whom it saw come or go.
    pub fn saw(&self, place: Option<u64>, user: &str, is_there: bool) {
        if user != self.name {
            self.write(|diary| {
                let connection = diary.connections.last_mut();
                connection.map(|last| last.seen.insert((place, user.to_owned()), is_there))
            });
        }
    }

    /// What is to be sent now: the parcel not yet delivered, or during the storm a new one.
    pub fn parcel(&mut self) -> Option<Sent> {
        if self.parcel.is_none() && self.speaks && self.phase() == Phase::Storm {
            self.count += 1;
            let text = format!("{} #{}", self.name, self.count);
            // Now and then somebody has an old client, which sends no key.
            let key = self.rng.random_bool(0.9).then(|| format!("key-{}", self.count));
            let at = self.outlet.books.now();
            let (acked, trouble) = (None, String::new());
            let sent = Sent { key, text, at, attempts: 0, acked, given_up: false, trouble };
            self.write(|diary| diary.sends.push(sent.clone()));
            self.parcel = Some(sent);
        }
        if self.parcel.is_some() {
            self.write(|diary| diary.sends.last_mut().map(|sent| sent.attempts += 1));
        }
        self.parcel.clone()
    }

    /// The parcel is delivered.
    pub fn stored(&mut self, parcel: &Sent, id: u64, seq: Option<u64>) {
        self.failures = 0;
        let acked = Acked { at: self.outlet.books.now(), id, seq };
        self.change(parcel, |sent| sent.acked = Some(acked));
        self.parcel = None;
    }

    /// Nobody knows about the parcel. With a key it is sent again; without one it is given up.
    pub fn unanswered(&mut self, parcel: &Sent, trouble: String) {
        let gives_up = parcel.key.is_none();
        self.change(parcel, |sent| (sent.given_up, sent.trouble) = (gives_up, trouble));
        if gives_up {
            self.parcel = None;
        }
    }

    fn change(&self, parcel: &Sent, change: impl FnOnce(&mut Sent)) {
        self.write(|diary| {
            diary.sends.iter_mut().rfind(|sent| sent.text == parcel.text).map(change)
        });
    }

    /// One request to either message-api, with the token.
    pub async fn rest(&mut self, ask: Ask<'_>) -> Result<Answer> {
        let api = &self.outlet.apis[self.rng.random_range(0..self.outlet.apis.len())];
        let http = Http::at(api)?.bearing(&self.token);
        let Ask { method, path, body, key } = ask;
        let mut request = http.request(method.parse()?, path)?;
        if !body.is_null() {
            request = request.json(&body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = timeout(ANSWER_WITHIN, http.send(request)).await??;
        if answer.status == 401 {
            self.logs_in().await?;
            bail!("logged in again");
        }
        Ok(answer)
    }

    /// A new session: Redis may have forgotten the one before.
    pub async fn logs_in(&mut self) -> Result<()> {
        let api = &self.outlet.apis[self.rng.random_range(0..self.outlet.apis.len())];
        let body = json!({ "username": self.name, "password": PASSWORD });
        let http = Http::at(api)?;
        let answer = timeout(ANSWER_WITHIN, http.post_json("/api/login", &body)).await??;
        let answer = answer.expect(200)?;
        answer["token"].as_str().unwrap_or_default().clone_into(&mut self.token);
        Ok(())
    }

    /// A Socket.IO connection, with the token; logs in again if that is what is wrong.
    pub async fn knocks(&mut self, path: &str, namespace: &str) -> Result<SocketIo> {
        let knock = SocketIo::at(&self.gateway()).named(&self.name).token(&self.token);
        let entered = timeout(OPEN_WITHIN, knock.path(path).namespace(namespace).enters()).await?;
        self.admitted(entered).await
    }

    /// A plain WebSocket, likewise.
    pub async fn watches(&mut self, path: &str) -> Result<PlainSocket> {
        let url = format!("{}{path}&token={}", self.gateway(), self.token);
        let opened = timeout(OPEN_WITHIN, PlainSocket::open(&self.name, &url, &[])).await?;
        self.admitted(opened).await
    }

    async fn admitted<T>(&mut self, outcome: Result<T, Refused>) -> Result<T> {
        match outcome {
            Ok(socket) => {
                self.is_connected();
                Ok(socket)
            }
            Err(refused @ (Refused::Http { status: 401, .. } | Refused::ConnectError(_))) => {
                self.logs_in().await?;
                Err(refused.into())
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Edits or deletes one of its own messages in a room, by REST. Once: to repeat it might be
    /// to do it twice.
    pub async fn revise_in_room(&mut self) {
        let Some((id, text)) = self.own_message() else { return };
        let Some(room) = self.rooms.first().cloned() else { return };
        let path = format!("/api/conversations/{room}/{id}");
        let (method, body) = match self.rng.random_bool(0.5) {
            true => ("DELETE", Value::Null),
            false => ("PATCH", json!({ "text": edited(&text) })),
        };
        drop(self.rest(Ask { method, path: &path, body, key: None }).await);
    }

    /// The message acknowledged last, and its text.
    #[must_use]
    pub fn own_message(&self) -> Option<(u64, String)> {
        let last = self.write(|diary| diary.sends.last().cloned())?;
        Some((last.acked?.id, last.text))
    }
}

/// A request.
#[derive(Debug)]
pub struct Ask<'a> {
    /// GET, POST …
    pub method: &'a str,
    /// Where.
    pub path: &'a str,
    /// JSON; null for none.
    pub body: Value,
    /// `Idempotency-Key`.
    pub key: Option<&'a str>,
}

/// What an event tells of a message.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Which.
    pub id: u64,
    /// Its place.
    pub seq: Option<u64>,
    /// Its text.
    pub text: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// From JSON whose id and text are under these names.
    pub(crate) fn of(message: &'a Value, id: &str, text: &str) -> Self {
        let (id, text) = (number(&message[id]), message[text].as_str());
        Self { id, seq: message["seq"].as_u64(), text }
    }
}

/// A number, or a string of digits; 0 if it is neither.
pub(crate) fn number(value: &Value) -> u64 {
    let digits = || value.as_str().and_then(|digits| digits.parse().ok());
    value.as_u64().or_else(digits).unwrap_or_default()
}

/// What a text becomes when it is edited; each is edited at most once.
pub(crate) fn edited(text: &str) -> String {
    format!("{text}{EDITED}")
}

/// The text as it was sent first.
#[must_use]
pub fn original(text: &str) -> &str {
    text.trim_end_matches(EDITED)
}

const EDITED: &str = " (edited)";
