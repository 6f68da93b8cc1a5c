//! The peer in Rust: socketioxide with its own Redis adapter, as its documentation shows it. It
//! stores nothing.
//!
//! `REDIS_URL=redis://… bench-socketioxide 127.0.0.1:4000`

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    adapter::Emitter,
    extract::{AckSender, Data, SocketRef},
};
use socketioxide_redis::{RedisAdapter, RedisAdapterCtr};

type Adapter = RedisAdapter<Emitter>;
type Socket = SocketRef<Adapter>;

#[derive(Debug, Parser)]
struct Settings {
    /// Where to listen
    address: String,
    /// The Redis of the adapter
    #[arg(long, env = "REDIS_URL")]
    redis_url: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::parse();
    let redis = redis::Client::open(format!("{}?protocol=resp3", settings.redis_url))?;
    let adapter = RedisAdapterCtr::new_with_redis(&redis).await?;
    let (layer, io) = SocketIo::builder().with_adapter::<Adapter>(adapter).build_layer();
    io.ns("/", on_connect).await.context("the adapter did not start")?;
    let listener = tokio::net::TcpListener::bind(&settings.address).await?;
    axum::serve(listener, axum::Router::new().layer(layer)).await?;
    Ok(())
}

async fn on_connect(socket: Socket) {
    socket.on(
        "join room",
        async |socket: Socket, Data(body): Data<Value>, ack: AckSender<Adapter>| {
            socket.join(room_of(&body));
            let _ = ack.send(&json!({"success": true}));
        },
    );
    socket.on("chat message", async |socket: Socket, Data(body): Data<Value>| {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let id = COUNT.fetch_add(1, Ordering::Relaxed);
        let timestamp = time::OffsetDateTime::now_utc();
        let timestamp = timestamp.format(&time::format_description::well_known::Rfc3339);
        let message = json!({
            "_id": id.to_string(), "room": body["roomId"], "user": body["user"],
            "text": body["text"], "timestamp": timestamp.unwrap_or_default(), "seq": id,
        });
        let _ = socket.within(room_of(&body)).emit("chat message", &message).await;
    });
    socket.on("typing", async |socket: Socket, Data(body): Data<Value>| {
        let _ = socket.to(room_of(&body)).emit("typing", &body).await;
    });
    socket.on("send:message", async |socket: Socket, Data(body): Data<Value>| {
        let _ = socket.broadcast().emit("broadcast:message", &body).await;
    });
}

fn room_of(body: &Value) -> String {
    body["roomId"].as_str().unwrap_or_default().to_owned()
}
