//! Every method of gRPC: refused without a service's token, and with it answered to each kind of
//! caller as the table says.

use anyhow::{Context, Result, ensure};
use chat_core::{
    error::Code,
    rights::{Place, Verb, Who},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use harness::Person;
use switchboard_proto::{
    status::{is_token_refused, to_error},
    v1::{self, authenticate_request::Credential},
};
use tonic::{
    Request, Response, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use crate::{Client, PLACES, Scene, is_of_the_direct, table};

const METHODS: &[(&str, Verb)] = &[
    ("Register", Verb::Register),
    ("LogIn", Verb::LogIn),
    ("Authenticate", Verb::Authenticate),
    ("EndSession", Verb::EndSession),
    ("ListLiveSessions", Verb::Serve),
    ("AdmitGuest", Verb::AdmitGuest),
    ("GetUser", Verb::FindUsers),
    ("ListUsers", Verb::FindUsers),
    ("ChangePassword", Verb::ChangePassword),
    ("DeleteAccount", Verb::DeleteAccount),
    ("CreateRoom", Verb::CreateRoom),
    ("GetConversation", Verb::Read),
    ("ListRooms", Verb::ListRooms),
    ("OpenDirect", Verb::OpenDirect),
    ("ListDirects", Verb::ListDirects),
    ("GetInbox", Verb::Inbox),
    ("PostMessage", Verb::Post),
    ("PostMessages", Verb::Post),
    ("EditMessage", Verb::Edit),
    ("DeleteMessage", Verb::Delete),
    ("GetMessage", Verb::History),
    ("GetHistory", Verb::History),
    ("MarkRead", Verb::MarkRead),
    ("GetUnreadCount", Verb::Read),
    ("MarkSeen", Verb::Read),
    ("ListChanges", Verb::Serve),
    ("GetHeads", Verb::Serve),
    ("WatchEvents", Verb::Serve),
];

const PROTO: &str = include_str!("../../../../proto/switchboard/v1/chat_service.proto");

/// The names of all methods, as the interface has them.
fn declared() -> Vec<&'static str> {
    let lines = PROTO.lines().filter_map(|line| line.trim_start().strip_prefix("rpc "));
    lines.filter_map(|line| line.split('(').next()).collect()
}

#[test]
fn every_declared_method_is_in_the_table() {
    let declared = declared();
    assert_eq!(declared.len(), METHODS.len(), "{declared:?}");
    for method in declared {
        let is_known = METHODS.iter().any(|(name, _)| *name == method);
        assert!(is_known, "{method} is in no row of the table of rights");
    }
}

#[tokio::test]
async fn no_method_is_open_to_those_without_a_services_token() -> Result<()> {
    let scene = Scene::set().await?;
    let site = journeys::product().await.site();
    let alice = site.newcomer("alice").await;
    let mut paths: Vec<_> =
        declared().iter().map(|name| format!("/switchboard.v1.ChatService/{name}")).collect();
    paths.push("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned());
    paths.push("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo".to_owned());
    paths.push("/switchboard.v1.ChatService/MadeUp".to_owned());
    let right = &scene.service_token;
    let shown = [
        None,
        Some(String::new()),
        Some("Bearer ".to_owned()),
        Some("Bearer wrong-service-token".to_owned()),
        Some(format!("Bearer {}", &right[..right.len() - 1])),
        Some(format!("Bearer {right}x")),
        Some(right.clone()),
        Some(format!("Basic {right}")),
        Some(format!("Bearer {}", alice.token)),
        Some(format!("Bearer {}", alice.cookie)),
    ];
    let channel = Endpoint::try_from(scene.arena.stack.urls().grpc(1))?.connect_lazy();
    let asks = paths.iter().flat_map(|path| shown.iter().map(move |shown| (path, shown)));
    let asks = asks.map(|(path, shown)| refused(&channel, path, shown.as_deref(), &alice.cookie));
    // Many at once: wrong tokens are answered slowly.
    stream::iter(asks).buffer_unordered(100).try_collect::<()>().await
}

/// Shows that for the method: it must be refused.
async fn refused(channel: &Channel, path: &str, shown: Option<&str>, cookie: &str) -> Result<()> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await?;
    let mut request = Request::new(());
    if let Some(shown) = shown {
        let shown: MetadataValue<Ascii> = shown.parse()?;
        request.metadata_mut().insert("authorization", shown);
    }
    // A session's secret as a cookie opens nothing either.
    request.metadata_mut().insert("cookie", format!("session={cookie}").parse()?);
    let method = PathAndQuery::try_from(path)?;
    let answer: Result<Response<()>, Status> =
        grpc.unary(request, method, ProstCodec::<(), ()>::default()).await;
    let refused = answer.err().with_context(|| format!("{path} with {shown:?} is open"))?;
    ensure!(is_token_refused(&refused), "{path} with {shown:?}: {refused:?}");
    Ok(())
}

impl Scene {
    /// The caller as a service names them; none for the service itself.
    fn party(&self, who: Who) -> Option<v1::Party> {
        match who {
            Who::Guest => {
                let kind = Some(v1::party::Kind::Guest(self.arena.unique("guest")));
                Some(v1::Party { kind })
            }
            _ => self.person(who).map(|person| crate::user(&person.name)),
        }
    }

    async fn login(&self) -> Result<v1::Login> {
        let username = self.arena.unique("spent");
        let password = Some(Person::PASSWORD.to_owned());
        let request = v1::RegisterRequest { username, password };
        let login = self.grpc.clone().register(request).await?.into_inner().login;
        login.context("a login")
    }

    /// What the method's answer says, all of it.
    async fn calls(&self, method: &str, place: Place, who: Who) -> Result<Result<String, Status>> {
        let (mut grpc, caller) = (self.grpc.clone(), self.party(who));
        let conversation_id = self.conversation(place).to_owned();
        let message_id = self.said(place).await?;
        let of_accounts = self.calls_of_accounts(&mut grpc, method, who).await?;
        if let Some(answer) = of_accounts {
            return Ok(answer);
        }
        Ok(match method {
            "CreateRoom" => {
                let title = self.arena.unique("made");
                told(grpc.create_room(v1::CreateRoomRequest { caller, title }).await)
            }
            "GetConversation" => {
                let request = v1::GetConversationRequest { caller, conversation_id };
                told(grpc.get_conversation(request).await)
            }
            "ListRooms" => {
                told(grpc.list_rooms(v1::ListRoomsRequest { limit: 9, ..Default::default() }).await)
            }
            "OpenDirect" => {
                let peer = self.arena.newcomer("peer").await?.name;
                let peer = Some(v1::open_direct_request::Peer::PeerName(peer));
                told(grpc.open_direct(v1::OpenDirectRequest { caller, peer }).await)
            }
            "ListDirects" => {
                told(grpc.list_directs(v1::ListDirectsRequest { caller, limit: 9 }).await)
            }
            "GetInbox" => {
                let request = v1::GetInboxRequest { caller, rooms_limit: 1, directs_limit: 9 };
                told(grpc.get_inbox(request).await)
            }
            "PostMessage" => {
                let (text, rest) = ("hi".to_owned(), Default::default());
                let request = v1::PostMessageRequest { caller, conversation_id, text, ..rest };
                told(grpc.post_message(request).await)
            }
            "PostMessages" => {
                let (text, rest) = ("hi".to_owned(), Default::default());
                let post = v1::PostMessageRequest { caller, conversation_id, text, ..rest };
                posted(&mut grpc, post).await?
            }
            "EditMessage" => {
                let text = "edited".to_owned();
                told(grpc.edit_message(v1::EditMessageRequest { caller, message_id, text }).await)
            }
            "DeleteMessage" => {
                told(grpc.delete_message(v1::DeleteMessageRequest { caller, message_id }).await)
            }
            "GetMessage" => {
                told(grpc.get_message(v1::GetMessageRequest { caller, message_id }).await)
            }
            "GetHistory" => {
                let span = Some(v1::get_history_request::Span::Before(message_id));
                let request = v1::GetHistoryRequest { caller, conversation_id, span, limit: 9 };
                told(grpc.get_history(request).await)
            }
            "MarkRead" => told(grpc.mark_read(v1::MarkReadRequest { caller, message_id }).await),
            "GetUnreadCount" => {
                let request = v1::GetUnreadCountRequest { caller, conversation_id };
                told(grpc.get_unread_count(request).await)
            }
            "MarkSeen" => {
                let rest = Default::default();
                let request = v1::MarkSeenRequest { caller, conversation_id, ..rest };
                told(grpc.mark_seen(request).await)
            }
            "ListChanges" => {
                let request = v1::ListChangesRequest { conversation_id, since: 0, limit: 9 };
                told(grpc.list_changes(request).await)
            }
            "GetHeads" => {
                let conversation_ids = vec![conversation_id];
                told(grpc.get_heads(v1::GetHeadsRequest { conversation_ids }).await)
            }
            "WatchEvents" => {
                let from = v1::watch_events_request::Since::From(v1::WatchFrom::Now.into());
                let conversation_ids = vec![conversation_id];
                let request = v1::WatchEventsRequest { conversation_ids, since: Some(from) };
                grpc.watch_events(request).await.map(|_| String::new())
            }
            other => panic!("{other} is a method that this test does not know"),
        })
    }

    async fn calls_of_accounts(
        &self,
        grpc: &mut Client,
        method: &str,
        who: Who,
    ) -> Result<Option<Result<String, Status>>> {
        let is_user = self.person(who).is_some();
        let session = || async { anyhow::Ok(self.login().await?.session.context("a session")?) };
        Ok(Some(match method {
            "Register" => {
                let request =
                    v1::RegisterRequest { username: self.arena.unique("new"), password: None };
                told(grpc.register(request).await)
            }
            "LogIn" => {
                let (username, password) = (self.author.name.clone(), Person::PASSWORD.to_owned());
                told(grpc.log_in(v1::LogInRequest { username, password }).await)
            }
            "Authenticate" => {
                let credential = Some(Credential::Token(self.author.token.clone()));
                told(grpc.authenticate(v1::AuthenticateRequest { credential }).await)
            }
            "EndSession" => {
                let session_id = session().await?.id;
                told(grpc.end_session(v1::EndSessionRequest { session_id }).await)
            }
            "ListLiveSessions" => {
                let session_ids = vec![session().await?.id];
                told(grpc.list_live_sessions(v1::ListLiveSessionsRequest { session_ids }).await)
            }
            "AdmitGuest" => {
                let name = self.arena.unique("guest");
                told(grpc.admit_guest(v1::AdmitGuestRequest { name }).await)
            }
            "GetUser" => {
                let peer = v1::get_user_request::Peer::Name(self.author.name.clone());
                told(grpc.get_user(v1::GetUserRequest { peer: Some(peer) }).await)
            }
            "ListUsers" => {
                let request = v1::ListUsersRequest { after: String::new(), limit: 1 };
                told(grpc.list_users(request).await)
            }
            "ChangePassword" => {
                let request = v1::ChangePasswordRequest {
                    session: if is_user { Some(session().await?) } else { None },
                    current_password: Person::PASSWORD.to_owned(),
                    new_password: "another one".to_owned(),
                };
                told(grpc.change_password(request).await)
            }
            "DeleteAccount" => {
                let user = if is_user { session().await?.user } else { None };
                told(grpc.delete_account(v1::DeleteAccountRequest { user }).await)
            }
            _ => return Ok(None),
        }))
    }
}

fn told<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> Result<String, Status> {
    answer.map(|answer| format!("{:?}", answer.into_inner()))
}

/// What became of a post over a stream.
async fn posted(grpc: &mut Client, post: v1::PostMessageRequest) -> Result<Result<String, Status>> {
    let post = v1::NumberedPost { number: 1, post: Some(post), follows: false };
    let posts = v1::PostMessagesRequest { posts: vec![post] };
    let mut answers = grpc.post_messages(futures_util::stream::iter([posts])).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        let Some(outcome) = answer.outcomes.into_iter().next() else { continue };
        return Ok(match outcome.outcome.context("an outcome")? {
            v1::post_outcome::Outcome::Message(message) => Ok(format!("{message:?}")),
            v1::post_outcome::Outcome::Refusal(refusal) => Err(Status::with_details(
                refusal.code.into(),
                refusal.message,
                refusal.details.into(),
            )),
        });
    }
    anyhow::bail!("the stream ended without an outcome")
}

#[tokio::test]
async fn every_method_answers_every_caller_as_the_table_says() -> Result<()> {
    let scene = Scene::set().await?;
    for &(method, verb) in METHODS {
        for place in PLACES {
            for &who in Who::ALL {
                // Who shows nothing is refused whatever they ask: that is the test above. A method
                // of services has no caller.
                let has_caller = verb != Verb::Serve;
                let is_judged = who == Who::Service || (has_caller && who != Who::Nobody);
                // Methods without a caller can't tell whom they are asked for: the services that
                // hold a token answer for that.
                let is_asked_for =
                    !matches!(verb, Verb::FindUsers | Verb::ChangePassword | Verb::DeleteAccount)
                        || who != Who::Guest;
                if !is_judged || !is_asked_for {
                    continue;
                }
                let what = format!("{method} {place:?} {who:?}");
                let answer = scene.calls(method, place, who).await.context(what.clone())?;
                let code = answer.as_ref().map(drop).map_err(|status| to_error(status).code());
                let expected: Result<(), Code> = table(verb, place, who);
                assert_eq!(code, expected, "{what}: {answer:?}");
                let is_about_it = !matches!(verb, Verb::Serve);
                if place == Place::Direct && !is_of_the_direct(who) && is_about_it {
                    scene.gives_nothing_away(&what, &format!("{answer:?}"));
                }
            }
        }
    }
    Ok(())
}
