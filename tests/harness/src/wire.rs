//! A websocket under both clients: frames in, frames out, the reason of its end.

use std::sync::Arc;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt, stream::SplitStream};
use serde_json::Value;
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue},
    },
};

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The upgrade was answered by another HTTP status.
    #[error("refused by HTTP {status}: {body}")]
    Http {
        /// The status.
        status: u16,
        /// The body, if any.
        body: String,
    },
    /// Socket.IO's `connect_error`, with its payload.
    #[error("refused by connect_error: {0}")]
    ConnectError(Value),
    /// Anything else.
    #[error("not connected: {0:#}")]
    Other(#[from] anyhow::Error),
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open websocket. Dropping it cuts the connection without a word.
#[derive(Debug)]
pub(crate) struct Wire {
    outbox: mpsc::UnboundedSender<Message>,
    _tasks: JoinSet<()>,
}

/// Who gets what comes in.
pub(crate) trait Hear: Send + Sync + 'static {
    /// A text frame; may answer.
    fn text(&self, frame: &str, outbox: &mpsc::UnboundedSender<Message>);
    /// The end.
    fn end(&self, reason: &str);
}

impl Wire {
    pub(crate) async fn open(
        url: &str,
        headers: &[(String, String)],
        ears: Arc<impl Hear>,
    ) -> Result<Self, Refused> {
        let request = url.replacen("http", "ws", 1).into_client_request();
        let mut request = request.context("a bad URL")?;
        for (name, value) in headers {
            let name: HeaderName = name.parse().context("a bad header name")?;
            let value: HeaderValue = value.parse().context("a bad header value")?;
            request.headers_mut().append(name, value);
        }
        let (socket, _) = connect_async(request).await.map_err(refusal)?;
        let (mut sink, stream) = socket.split();
        let (outbox, mut frames) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        // Two tasks, since a peer that stops reading must not keep us from reading.
        tasks.spawn(async move {
            while let Some(frame) = frames.recv().await {
                if sink.send(frame).await.is_err() {
                    return; // The reader tells why.
                }
            }
        });
        tasks.spawn(listen(stream, ears, outbox.clone()));
        Ok(Self { outbox, _tasks: tasks })
    }

    /// Sends in the order of the calls. After the end it is lost, like on any network.
    pub(crate) fn send(&self, frame: Message) {
        let _ = self.outbox.send(frame);
    }

    pub(crate) fn send_text(&self, text: impl Into<String>) {
        self.send(Message::text(text.into()));
    }
}

async fn listen(
    mut stream: SplitStream<Socket>,
    ears: Arc<impl Hear>,
    outbox: mpsc::UnboundedSender<Message>,
) {
    let reason = loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => ears.text(&text, &outbox),
            Some(Ok(Message::Close(Some(frame)))) => {
                break format!("closed: {} {}", u16::from(frame.code), frame.reason);
            }
            Some(Ok(Message::Close(None))) => break "closed without a code".to_owned(),
            Some(Ok(_)) => {}
            Some(Err(e)) => break format!("broken: {e}"),
            None => break "cut".to_owned(),
        }
    };
    ears.end(&reason);
}

fn refusal(error: tungstenite::Error) -> Refused {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(body).into_owned();
            Refused::Http { status: response.status().as_u16(), body }
        }
        other => Refused::Other(other.into()),
    }
}
