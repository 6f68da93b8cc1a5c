//! What `make guard` counts of sockets: reading what a client says. And real sockets for those
//! who count what it costs to deliver to them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ::guard::measure;
use async_trait::async_trait;
use axum::{Router, middleware};
use chat_core::{
    Limits, Result, Sink,
    process::{ServiceToken, Shutdown},
};
use dialects::{
    accept,
    allowance::{Allowances, Allowed},
    chatto::wire::Say,
    places::Places,
    socket::{Client, Conversing, Leg, Ports, SocketKeys},
};
use redis_link::Redis;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::timeout,
};

use super::{Mount, inbox::payload, shared};
use crate::{
    chat_client::ChatClient,
    connections::Connections,
    feed::{FeedHandle, GatewayFeed},
    outbound::Flushers,
    polling::{self, Begun, Polling},
    presence::Presence,
    probe::Probe,
    server,
    sessions::Sessions,
    subscriber::Subscriber,
    whisper,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A protocol that says nothing and hands out its sockets' sinks.
struct Doorman(UnboundedSender<Arc<dyn Sink>>);

#[async_trait]
impl Leg for Doorman {
    fn protocol(&self) -> &'static str {
        "guard"
    }

    fn namespace(&self) -> &'static str {
        "/guard"
    }

    fn knows(&self, _: &str, _: &Value) -> bool {
        false
    }

    async fn open(&self, client: Client) -> Result<Box<dyn Conversing>> {
        self.0.send(client.sink).expect("somebody takes it");
        Ok(Box::new(Mute))
    }
}

struct Mute;

#[async_trait]
impl Conversing for Mute {
    async fn handle(&mut self, _: &str, _: Value) -> Result<Value> {
        Ok(Value::Null)
    }

    async fn close(&mut self) {}
}

/// A client on a websocket, as bytes.
pub(crate) struct Peer(pub(super) TcpStream);

impl Peer {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let mut peer = Self(TcpStream::connect(address).await.unwrap());
        let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: guard\r\n\
                       Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        peer.0.write_all(request.as_bytes()).await.unwrap();
        peer.hears("pingInterval").await;
        peer.says("40/guard,{}").await;
        peer.hears("40/guard").await;
        peer
    }

    /// Says a text of less than 126 bytes.
    pub(super) async fn says(&mut self, text: &str) {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("short");
        // Masked with zeros.
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    /// Waits until this text comes.
    pub(crate) async fn hears(&mut self, text: &str) {
        let mut heard = Vec::new();
        let find = async {
            while !String::from_utf8_lossy(&heard).contains(text) {
                assert_ne!(self.0.read_buf(&mut heard).await.unwrap(), 0, "closed");
            }
        };
        timeout(PATIENCE, find).await.expect("it comes");
    }
}

/// Ports behind which are neither Redis nor message-api.
fn ports(tasks: &Shutdown) -> Ports {
    let nowhere = ["http://127.0.0.1:1".to_owned()];
    let chat =
        Arc::new(ChatClient::new(&nowhere, &ServiceToken::fixed("x"), None, 64, tasks).unwrap());
    let redis = Redis::single("redis://127.0.0.1", "guard").unwrap();
    let probe = Arc::new(Probe::new(&redis.lanes()[0], 1));
    let subscriber = Arc::new(Subscriber::new(&redis, &[probe]));
    let (whisperer, _) = whisper::queues(&redis);
    let (presence, sessions) = (Presence::default(), Arc::new(Sessions::default()));
    let feed = GatewayFeed::new(
        Arc::clone(&chat) as Arc<_>,
        subscriber,
        whisperer,
        presence,
        sessions,
        tasks.clone(),
    );
    Ports {
        chat,
        feed: Arc::new(FeedHandle(feed)),
        limits: Limits::default(),
        queue_bytes: 1 << 20,
        guests: true,
        keys: Arc::new(SocketKeys::new(1)),
        tasks: tasks.clone(),
        origins: Arc::default(),
        allowances: Allowances::new(Allowed::default()),
    }
}

/// So many sockets on websockets of their own, and the way to each.
pub(crate) async fn crowd(count: usize, tasks: &Shutdown) -> (Vec<Peer>, Vec<Arc<dyn Sink>>) {
    let (doorman, mut sinks) = unbounded_channel();
    let address = gateway(Arc::new(Doorman(doorman)), count, tasks);
    let (mut peers, mut ways) = (Vec::new(), Vec::new());
    for _ in 0..count {
        peers.push(Peer::connect(address).await);
        ways.push(sinks.recv().await.expect("it has connected"));
    }
    (peers, ways)
}

/// Serves one protocol to so many sockets, with nothing behind it. Answers where.
pub(super) fn gateway(leg: Arc<dyn Leg>, count: usize, tasks: &Shutdown) -> SocketAddr {
    let connections = Connections::new(count + 1, count);
    let mount = Mount {
        legs: [leg].into(),
        ports: ports(tasks),
        connections: Arc::clone(&connections),
        shutdown: tasks.clone(),
    };
    let note = middleware::from_fn_with_state(Arc::clone(&connections), server::note_transport);
    let polling = Polling::new(Begun::new(count, 0), &connections, &Limits::default());
    let bounded = middleware::from_fn_with_state(polling, polling::bounded);
    let router = shared(Router::new(), &mount).layer(bounded).layer(note);
    let listener = accept::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let flushers = Flushers::start(1, tasks);
    let serving = server::serve(
        listener,
        router,
        connections,
        Places::new(0, "address"),
        flushers,
        PATIENCE,
        tasks.clone(),
    );
    tasks.spawn_until_stopped(serving);
    address
}

#[test]
#[ignore = "counted by `make guard`"]
fn guard() {
    let text =
        r#"["chat message",{"roomId":"lobby","user":"alice","text":"hello","clientId":"7"}]"#;
    let read = || payload(text).and_then(|payload| Say::parse(&payload, &Limits::default()));
    let says = measure("sockets: read 100 chat messages", || {
        (0..100).map(|_| read()).collect::<Result<Vec<_>>>()
    });
    assert_eq!(says.unwrap()[99].text.as_str(), "hello");
}
