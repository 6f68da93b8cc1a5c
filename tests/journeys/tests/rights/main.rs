//! Strangers are kept out: the whole table of `chat_core::rights`, walked over every route of REST,
//! every event of every socket and every method of gRPC. What is in none of the lists here fails.

mod grpc;
mod issuers;
mod live;
mod rest;
mod sessions;
mod sockets;

use std::time::Duration;

use anyhow::{Context, Result};
use chat_core::{
    error::Code,
    rights::{Place, Verb, Who, decide},
};
use harness::{Arena, Person};
use journeys::product;
use serde_json::{Value, json};
use switchboard_proto::v1::{self, chat_service_client::ChatServiceClient};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

/// How long nothing must come, where nothing must come.
const SILENCE: Duration = Duration::from_millis(400);

const PLACES: [Place; 2] = [Place::Open, Place::Direct];

type Client = ChatServiceClient<InterceptedService<Channel, Shows>>;

/// Shows a service's token.
#[derive(Clone)]
struct Shows(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Shows {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A room and a direct, in which the author has said something that only some may know.
struct Scene {
    arena: &'static Arena,
    service_token: String,
    grpc: Client,
    /// Wrote everything in the room and in the direct.
    author: Person<'static>,
    /// The other one of the direct.
    member: Person<'static>,
    /// In no direct with either.
    stranger: Person<'static>,
    room: String,
    direct: String,
    /// What is said in the direct contains this.
    secret: String,
}

impl Scene {
    async fn set() -> Result<Self> {
        let product = product().await;
        let arena = product.arena;
        let service_token = product.service_token().to_owned();
        let shows = Shows(format!("Bearer {service_token}").parse()?);
        let channel = Endpoint::try_from(arena.stack.urls().grpc(1))?.connect_lazy();
        let mut grpc = ChatServiceClient::with_interceptor(channel, shows);
        let author = arena.newcomer("author").await?;
        let member = arena.newcomer("member").await?;
        let stranger = arena.newcomer("stranger").await?;
        let title = json!({"title": arena.unique("room")});
        let room = author.http.post_json("/api/conversations/", &title).await?.expect(200)?;
        let room = room["id"].as_str().context("an id")?.to_owned();
        let peer = Some(v1::open_direct_request::Peer::PeerName(member.name.clone()));
        let opens = v1::OpenDirectRequest { caller: Some(user(&author.name)), peer };
        let direct = grpc.open_direct(opens).await?.into_inner().conversation;
        let direct = direct.context("a direct")?.id;
        let secret = arena.unique("between-us");
        Ok(Self { arena, service_token, grpc, author, member, stranger, room, direct, secret })
    }

    fn conversation(&self, place: Place) -> &str {
        match place {
            Place::Open => &self.room,
            Place::Direct => &self.direct,
        }
    }

    /// The author says something there; answers its id.
    async fn said(&self, place: Place) -> Result<u64> {
        self.said_at(self.conversation(place)).await
    }

    async fn said_at(&self, conversation: &str) -> Result<u64> {
        let said = v1::PostMessageRequest {
            caller: Some(user(&self.author.name)),
            conversation_id: conversation.to_owned(),
            text: match conversation == self.direct {
                true => format!("{} {}", self.secret, self.arena.unique("n")),
                false => "for everybody".to_owned(),
            },
            ..Default::default()
        };
        let posted = self.grpc.clone().post_message(said).await?.into_inner();
        Ok(posted.message.context("a message")?.id)
    }

    fn person(&self, who: Who) -> Option<&Person<'static>> {
        match who {
            Who::Stranger => Some(&self.stranger),
            Who::Member => Some(&self.member),
            Who::Author => Some(&self.author),
            Who::Nobody | Who::Guest | Who::Service => None,
        }
    }

    /// Nothing that was said in the direct is in it.
    fn gives_nothing_away(&self, what: &str, heard: &str) {
        assert!(!heard.contains(&self.secret), "{what}: {heard}");
    }
}

/// A user by name, as a caller over gRPC.
fn user(name: &str) -> v1::Party {
    let user = v1::User { id: 0, name: name.to_owned() };
    v1::Party { kind: Some(v1::party::Kind::User(user)) }
}

/// What the table says, for somebody whom this way in takes for `who`.
fn table(verb: Verb, place: Place, who: Who) -> Result<(), Code> {
    decide(verb, place, who)
}

/// May this caller know what is said in the direct?
const fn is_of_the_direct(who: Who) -> bool {
    matches!(who, Who::Member | Who::Author)
}

fn text_of(values: &[Value]) -> String {
    values.iter().map(ToString::to_string).collect()
}
