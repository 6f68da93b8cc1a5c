//! Hop 2 of 10: the port `Chat`, over gRPC. From `dialects/<protocol>/socket.rs`; next `proto/`.
//!
//! Every call has a deadline. What changes nothing when it happens twice goes to another replica of
//! message-api when one is away; the rest only if the first surely never began it. A post may
//! happen twice if it carries a key. Posts share one stream a replica (posts.rs); all else is a call
//! of its own, which waits until the replica has room for it (turns.rs).

mod fate;
mod posts;
mod replica;
mod replicas;
mod run;
mod spans;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod turns;

use std::future::Future;

use async_trait::async_trait;
use chat_core::child_span;
use chat_core::{
    Caller, Change, Chat, Conversation, ConversationId, Credential, Inbox, Login, Message,
    MessageId, MessageText, Password, Result, Seq, Session, SessionId, SocketKey, Title, User,
    Username,
    model::{ConversationPage, History, NewMessage, Peer, Seen, Span, UserPage},
    process::{ServiceToken, Shutdown},
};
use secrecy::ExposeSecret;
use switchboard_proto::{
    convert::{instant, required, timestamp},
    v1::{self, chat_service_client::ChatServiceClient},
};
use telemetry::context;
use time::OffsetDateTime;
use tonic::{
    Response, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, ClientTlsConfig},
};
use tracing::Instrument;

pub use self::tls::TlsFiles;
pub(crate) use self::turns::for_socket;
use self::{fate::Twice, replicas::Replicas, token::Token, turns::Lane};

/// Largest answer: a page of the longest texts.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

type Client = ChatServiceClient<InterceptedService<Channel, Token>>;

fn client(channel: Channel, token: Token) -> Client {
    ChatServiceClient::with_interceptor(channel, token).max_decoding_message_size(ANSWER_MAX)
}

/// message-api, as the gateway sees it.
#[derive(Clone, Debug)]
pub struct ChatClient {
    replicas: Replicas,
}

impl ChatClient {
    /// Connects when first used, and again whenever a connection is lost. So many calls may be
    /// under way to each replica. With `tls` the URLs begin with
    /// `https://`. The error is one sentence that names the setting.
    pub fn new(
        urls: &[String],
        token: &ServiceToken,
        tls: Option<ClientTlsConfig>,
        calls_max: usize,
        tasks: &Shutdown,
    ) -> std::result::Result<Self, String> {
        let urls = urls
            .iter()
            .map(|url| parse(url, tls.is_some()))
            .collect::<std::result::Result<_, _>>()?;
        let shown = Token::new(token)?;
        shown.follow(token, tasks);
        Ok(Self { replicas: Replicas::find(urls, (shown, tls), calls_max, tasks) })
    }

    /// How many replicas are known, and how many of them serve.
    #[must_use]
    pub fn replicas(&self) -> (usize, usize) {
        self.replicas.count()
    }

    /// A call that must not happen twice.
    async fn once<A, F>(&self, call: impl Fn(Client) -> F) -> Result<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.replicas.call(Twice::Never, Lane::Others, call).await
    }

    /// A call that changes nothing when it happens twice.
    async fn repeated<A, F>(&self, call: impl Fn(Client) -> F) -> Result<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.replicas.call(Twice::Fine, Lane::Others, call).await
    }

    /// The same, for a call with which a socket begins to join.
    async fn in_line<A, F>(&self, call: impl Fn(Client) -> F) -> Result<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.replicas.call(Twice::Fine, Lane::of_join(), call).await
    }
}

fn parse(url: &str, is_tls: bool) -> std::result::Result<http::Uri, String> {
    let scheme = if is_tls { "https" } else { "http" };
    let wrong = || format!("MESSAGE_API_GRPC_URL: \"{url}\" is not like {scheme}://host:3101");
    let url: http::Uri = url.trim().parse().map_err(|_| wrong())?;
    let fits = url.scheme_str() == Some(scheme) && url.host().is_some();
    if fits { Ok(url) } else { Err(wrong()) }
}

/// `Some(text)` unless empty.
fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[async_trait]
impl Chat for ChatClient {
    async fn register(&self, name: Username, password: Option<Password>) -> Result<Login> {
        let password = password.map(|password| password.expose().to_owned());
        let request = v1::RegisterRequest { username: name.to_string(), password };
        let call = |mut c: Client| {
            let request = request.clone();
            async move { c.register(request).await }
        };
        let answer = self.once(call).await?;
        required(answer.login, "login")?.try_into()
    }

    async fn log_in(&self, name: Username, password: Password) -> Result<Login> {
        let (username, password) = (name.to_string(), password.expose().to_owned());
        let request = v1::LogInRequest { username, password };
        let call = |mut c: Client| {
            let request = request.clone();
            async move { c.log_in(request).await }
        };
        let answer = self.once(call).await?;
        required(answer.login, "login")?.try_into()
    }

    async fn authenticate(&self, credential: Credential) -> Result<Session> {
        use v1::authenticate_request::Credential as Shown;
        let credential = Some(match credential {
            Credential::Session(secret) => Shown::Secret(secret.expose_secret().to_owned()),
            Credential::Token(token) => Shown::Token(token.expose_secret().to_owned()),
        });
        let request = v1::AuthenticateRequest { credential };
        let call = |mut c: Client| {
            let request = request.clone();
            async move { c.authenticate(request).await }
        };
        required(self.repeated(call).await?.session, "session")?.try_into()
    }

    async fn end_session(&self, session: SessionId) -> Result<()> {
        let call = |mut c: Client| {
            let request = v1::EndSessionRequest { session_id: session.as_str().to_owned() };
            async move { c.end_session(request).await }
        };
        self.repeated(call).await.map(drop)
    }

    async fn live_sessions(&self, sessions: Vec<SessionId>) -> Result<Vec<SessionId>> {
        let ids: Vec<_> = sessions.iter().map(|id| id.as_str().to_owned()).collect();
        let call = |mut c: Client| {
            let request = v1::ListLiveSessionsRequest { session_ids: ids.clone() };
            async move { c.list_live_sessions(request).await }
        };
        let alive = self.repeated(call).await?.session_ids;
        alive.iter().map(|id| switchboard_proto::convert::session_id(id)).collect()
    }

    async fn admit_guest(&self, name: Username) -> Result<Caller> {
        let call = |mut c: Client| {
            let request = v1::AdmitGuestRequest { name: name.to_string() };
            async move { c.admit_guest(request).await }
        };
        required(self.repeated(call).await?.caller, "caller")?.try_into()
    }

    async fn user(&self, peer: Peer) -> Result<User> {
        use v1::get_user_request::Peer as Asked;
        let peer = Some(match peer {
            Peer::Name(name) => Asked::Name(name.to_string()),
            Peer::Id(id) => Asked::Id(id.0),
        });
        let call = |mut c: Client| {
            let request = v1::GetUserRequest { peer: peer.clone() };
            async move { c.get_user(request).await }
        };
        required(self.repeated(call).await?.user, "user")?.try_into()
    }

    async fn users(&self, after: Option<Username>, limit: u32) -> Result<UserPage> {
        let after = after.map(|name| name.to_string()).unwrap_or_default();
        let call = |mut c: Client| {
            let request = v1::ListUsersRequest { after: after.clone(), limit };
            async move { c.list_users(request).await }
        };
        let page = self.repeated(call).await?;
        Ok(UserPage {
            users: page.users.into_iter().map(TryInto::try_into).collect::<Result<_>>()?,
            next: non_empty(page.next).map(|name| Username::parse(&name)).transpose()?,
        })
    }

    async fn change_password(
        &self,
        session: &Session,
        current: Password,
        new: Password,
    ) -> Result<()> {
        let request = v1::ChangePasswordRequest {
            session: Some(session.into()),
            current_password: current.expose().to_owned(),
            new_password: new.expose().to_owned(),
        };
        let call = |mut c: Client| {
            let request = request.clone();
            async move { c.change_password(request).await }
        };
        self.once(call).await.map(drop)
    }

    async fn delete_account(&self, user: &User) -> Result<()> {
        let call = |mut c: Client| {
            let request = v1::DeleteAccountRequest { user: Some(user.into()) };
            async move { c.delete_account(request).await }
        };
        self.repeated(call).await.map(drop)
    }

    async fn create_room(&self, caller: &Caller, title: Title) -> Result<Conversation> {
        let (caller, title) = (Some(caller.into()), title.as_str().to_owned());
        let request = v1::CreateRoomRequest { caller, title };
        let call = |mut c: Client| {
            let request = request.clone();
            async move { c.create_room(request).await }
        };
        let answer = self.once(call).await?;
        required(answer.conversation, "conversation")?.try_into()
    }

    async fn conversation(&self, caller: &Caller, id: ConversationId) -> Result<Conversation> {
        let call = |mut c: Client| {
            let request = v1::GetConversationRequest {
                caller: Some(caller.into()),
                conversation_id: id.to_string(),
            };
            async move { c.get_conversation(request).await }
        };
        required(self.in_line(call).await?.conversation, "conversation")?.try_into()
    }

    async fn rooms(&self, after: Option<String>, limit: u32) -> Result<ConversationPage> {
        let call = |mut c: Client| {
            let request = v1::ListRoomsRequest { after: after.clone().unwrap_or_default(), limit };
            async move { c.list_rooms(request).await }
        };
        let page = self.repeated(call).await?;
        let conversations =
            page.conversations.into_iter().map(TryInto::try_into).collect::<Result<_>>()?;
        Ok(ConversationPage { conversations, next: non_empty(page.next) })
    }

    async fn open_direct(&self, caller: &Caller, peer: Peer) -> Result<Conversation> {
        use v1::open_direct_request::Peer as Asked;
        let peer = Some(match peer {
            Peer::Name(name) => Asked::PeerName(name.to_string()),
            Peer::Id(id) => Asked::PeerId(id.0),
        });
        let call = |mut c: Client| {
            let request = v1::OpenDirectRequest { caller: Some(caller.into()), peer: peer.clone() };
            async move { c.open_direct(request).await }
        };
        required(self.in_line(call).await?.conversation, "conversation")?.try_into()
    }

    async fn directs(&self, caller: &Caller, limit: u32) -> Result<Vec<Conversation>> {
        let call = |mut c: Client| {
            let request = v1::ListDirectsRequest { caller: Some(caller.into()), limit };
            async move { c.list_directs(request).await }
        };
        let answer = self.repeated(call).await?;
        answer.conversations.into_iter().map(TryInto::try_into).collect()
    }

    async fn inbox(&self, caller: &Caller, rooms: u32, directs: u32) -> Result<Inbox> {
        let call = |mut c: Client| {
            let request = v1::GetInboxRequest {
                caller: Some(caller.into()),
                rooms_limit: rooms,
                directs_limit: directs,
            };
            async move { c.get_inbox(request).await }
        };
        self.repeated(call).await?.try_into()
    }

    async fn post_run(
        &self,
        caller: &Caller,
        run: Vec<NewMessage>,
        origin: Option<SocketKey>,
    ) -> Vec<Result<Message>> {
        let span = child_span!("PostMessages", otel.kind = "client", rpc.system = "grpc");
        let traceparent = context::of(&span);
        let request = |message: NewMessage| v1::PostMessageRequest {
            caller: Some(caller.into()),
            conversation_id: message.conversation.to_string(),
            text: message.text.into_string(),
            media: message.media,
            client_id: message.client_id.map(|id| id.as_str().to_owned()).unwrap_or_default(),
            origin: origin.map(Into::into),
            via: v1::Via::from(message.via).into(),
            traceparent: traceparent.clone(),
        };
        let posts = run.into_iter().map(request).collect();
        let answers = self.replicas.post(posts).instrument(span).await;
        answers.into_iter().map(|answer| answer?.try_into()).collect()
    }

    async fn edit(&self, caller: &Caller, id: MessageId, text: MessageText) -> Result<Message> {
        let (caller, text) = (Some(caller.into()), text.into_string());
        let request = v1::EditMessageRequest { caller, message_id: id.0, text };
        let call = |mut c: Client| {
            let request = request.clone();
            async move { c.edit_message(request).await }
        };
        let answer = self.once(call).await?;
        required(answer.message, "message")?.try_into()
    }

    async fn delete(&self, caller: &Caller, id: MessageId) -> Result<()> {
        let request = v1::DeleteMessageRequest { caller: Some(caller.into()), message_id: id.0 };
        let call = |mut c: Client| {
            let request = request.clone();
            async move { c.delete_message(request).await }
        };
        self.once(call).await.map(drop)
    }

    async fn message(&self, caller: &Caller, id: MessageId) -> Result<Message> {
        let call = |mut c: Client| {
            let request = v1::GetMessageRequest { caller: Some(caller.into()), message_id: id.0 };
            async move { c.get_message(request).await }
        };
        required(self.repeated(call).await?.message, "message")?.try_into()
    }

    async fn history(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        span: Span,
        limit: u32,
    ) -> Result<History> {
        use v1::get_history_request::Span as Asked;
        let span = match span {
            Span::Newest => None,
            Span::Before(id) => Some(Asked::Before(id.0)),
            Span::After(id) => Some(Asked::After(id.0)),
            Span::Offset(offset) => Some(Asked::Offset(offset)),
        };
        let call = |mut c: Client| {
            let request = v1::GetHistoryRequest {
                caller: Some(caller.into()),
                conversation_id: conversation.to_string(),
                limit,
                span,
            };
            async move { c.get_history(request).await }
        };
        let page = self.repeated(call).await?;
        let messages = page.messages.into_iter().map(TryInto::try_into).collect::<Result<_>>()?;
        Ok(History { messages, head: Seq(page.head), newest_at: page.newest_at.map(instant) })
    }

    async fn mark_read(&self, caller: &Caller, id: MessageId) -> Result<()> {
        let call = |mut c: Client| {
            let request = v1::MarkReadRequest { caller: Some(caller.into()), message_id: id.0 };
            async move { c.mark_read(request).await }
        };
        self.repeated(call).await.map(drop)
    }

    async fn unread_count(&self, caller: &Caller, conversation: ConversationId) -> Result<u64> {
        let call = |mut c: Client| {
            let request = v1::GetUnreadCountRequest {
                caller: Some(caller.into()),
                conversation_id: conversation.to_string(),
            };
            async move { c.get_unread_count(request).await }
        };
        self.repeated(call).await.map(|answer| answer.count)
    }

    async fn mark_seen(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        seen: Option<Seen>,
    ) -> Result<Option<OffsetDateTime>> {
        let (message_id, seen) = match seen {
            None => (0, None),
            Some(Seen::Message(id)) => (id.0, None),
            Some(Seen::At(at)) => (0, Some(timestamp(at))),
        };
        let call = |mut c: Client| {
            let request = v1::MarkSeenRequest {
                caller: Some(caller.into()),
                conversation_id: conversation.to_string(),
                seen,
                message_id,
            };
            async move { c.mark_seen(request).await }
        };
        Ok(self.repeated(call).await?.seen.map(instant))
    }

    async fn changes(
        &self,
        conversation: ConversationId,
        since: Seq,
        limit: u32,
    ) -> Result<Vec<Change>> {
        let call = |mut c: Client| {
            let request = v1::ListChangesRequest {
                conversation_id: conversation.to_string(),
                since: since.0,
                limit,
            };
            async move { c.list_changes(request).await }
        };
        self.repeated(call).await?.changes.into_iter().map(TryInto::try_into).collect()
    }

    async fn heads(
        &self,
        conversations: Vec<ConversationId>,
    ) -> Result<Vec<(ConversationId, Seq)>> {
        let ids: Vec<_> = conversations.iter().map(ToString::to_string).collect();
        let call = |mut c: Client| {
            let request = v1::GetHeadsRequest { conversation_ids: ids.clone() };
            async move { c.get_heads(request).await }
        };
        let heads = self.repeated(call).await?.heads;
        heads.iter().map(|head| Ok((head.conversation_id.parse()?, Seq(head.seq)))).collect()
    }
}
