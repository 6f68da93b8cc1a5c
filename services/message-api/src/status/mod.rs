//! `/status.json`: what all replicas of both services do just now, for the page `/status` and for
//! whoever else may know. Read from the status board; nothing of it is kept here.

mod guests;
mod overview;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{
        HeaderMap,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use chat_core::Code;
use status_board::{Beat, Board, Heard};
use tokio::sync::{Mutex, watch};

pub use self::guests::Guests;
use self::overview::Overview;
use crate::http;

/// For so long an answer is given to everybody who asks: however many look, Redis hears of it twice
/// a second.
const FRESH: Duration = Duration::from_millis(500);

/// Who may look, and where. Clones share it.
#[derive(Clone)]
pub struct Status(Arc<Inner>);

struct Inner {
    board: Board,
    /// This replica's own beat.
    own: watch::Receiver<Beat>,
    guests: Guests,
    /// May anybody look who shows no token?
    is_open: bool,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Status {
    /// Reads the board; `own` is this replica's beat, for times when it can't be read.
    #[must_use]
    pub fn new(board: Board, own: watch::Receiver<Beat>, guests: Guests, is_open: bool) -> Self {
        Self(Arc::new(Inner { board, own, guests, is_open, last: Mutex::default() }))
    }

    /// The route.
    pub fn router(self) -> Router {
        Router::new().route("/status.json", get(status)).with_state(self)
    }

    /// The answer, as JSON. The first who asks when it is old reads, the others wait for that.
    async fn answer(&self) -> Bytes {
        let mut last = self.0.last.lock().await;
        if let Some((_, answer)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return answer.clone();
        }
        let (mut heard, redis) = match self.0.board.read().await {
            Ok(heard) => (heard, "ok".to_owned()),
            Err(cause) => (Vec::new(), cause.to_string()),
        };
        // What this replica knows of itself is newer.
        let beat = self.0.own.borrow().clone();
        heard.retain(|other| other.beat.id != beat.id);
        heard.push(Heard { ago: Duration::ZERO, beat });
        let answer = serde_json::to_vec(&Overview::of(heard, redis)).unwrap_or_default();
        let answer = Bytes::from(answer);
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

async fn status(
    State(status): State<Status>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let is_let_in = match headers.contains_key(AUTHORIZATION) {
        true => status.0.guests.lets_in(peer, &headers).await,
        false => Ok(status.0.is_open),
    };
    match is_let_in {
        Ok(true) => {
            let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            (headers, status.answer().await).into_response()
        }
        Ok(false) => {
            let sentence = "show the token of a service: `authorization: Bearer <token>`";
            let refusal = http::refusal(Code::Unauthorised, sentence);
            ([(WWW_AUTHENTICATE, "Bearer realm=\"switchboard\"")], refusal).into_response()
        }
        Err(refusal) => http::refusal_of(&refusal),
    }
}
