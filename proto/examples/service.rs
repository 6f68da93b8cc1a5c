//! Another service: posts under its own name, then hears everything durable that happens.
//!
//! `cargo run -p switchboard-proto --example service -- http://localhost:3101 TOKEN`

use std::time::Duration;

use switchboard_proto::{
    AUTHORIZATION,
    status::to_error,
    v1::{
        self, WatchFrom, chat_service_client::ChatServiceClient, party, watch_events_request::Since,
    },
};
use tokio::time::timeout;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// Shows the token with each call.
#[derive(Clone)]
struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(AUTHORIZATION, self.0.clone());
        Ok(request)
    }
}

type Client = ChatServiceClient<InterceptedService<Channel, Token>>;

/// The deadline of each call that is no stream.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream says something every 5 s; one that is silent for so long is broken.
const SILENCE: Duration = Duration::from_secs(15);

fn in_time<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

/// Registers the service's own account, unless it has one, and posts as it. However often that is
/// tried, there is one such message.
async fn post(client: &mut Client, name: &str, text: &str) -> Result<v1::Message, Status> {
    let account = v1::RegisterRequest { username: name.to_owned(), password: None };
    match client.register(in_time(account)).await {
        Err(status) if status.code() != Code::AlreadyExists => return Err(status),
        _ => {}
    }
    let user = v1::User { name: name.to_owned(), ..Default::default() };
    let post = v1::PostMessageRequest {
        caller: Some(v1::Party { kind: Some(party::Kind::User(user)) }),
        conversation_id: "lobby".to_owned(),
        text: text.to_owned(),
        client_id: "example-1".to_owned(),
        ..Default::default()
    };
    let posted = client.post_message(in_time(post)).await?.into_inner();
    posted.message.ok_or_else(|| Status::internal("an answer without a message"))
}

/// Hears until the stream ends. The cursor tells where to go on.
async fn watch(client: &mut Client, since: &mut Since) -> Result<(), Status> {
    let request = v1::WatchEventsRequest { since: Some(since.clone()), ..Default::default() };
    let mut told = client.watch_events(request).await?.into_inner();
    loop {
        let answer = timeout(SILENCE, told.message()).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::unavailable("the stream is silent")))?;
        let Some(v1::WatchEventsResponse { changes, cursor }) = answer else { return Ok(()) };
        for change in changes {
            println!("{} {}: {:?}", change.conversation, change.seq, change.kind);
        }
        // Keep it where you keep what you have made of the changes.
        *since = Since::Cursor(cursor);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(token)) = (arguments.next(), arguments.next()) else {
        return Err("usage: service URL TOKEN".into());
    };
    let channel = Endpoint::from_shared(url)?.connect_lazy();
    let token = Token(format!("Bearer {token}").parse()?);
    let mut client = ChatServiceClient::with_interceptor(channel, token);
    let message = post(&mut client, "example-bot", "hello from a service").await?;
    println!("message {} is durable", message.id);

    let mut since = Since::From(WatchFrom::Beginning.into());
    loop {
        if let Err(status) = watch(&mut client, &mut since).await {
            // What may pass, passes: a replica that stops, a database that is away.
            let refusal = to_error(&status);
            if !refusal.code().is_transient() {
                return Err(status.into());
            }
            eprintln!("{refusal}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
