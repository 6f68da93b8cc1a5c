//! Hop 4 of 10: gRPC requests become the model's commands. From proto/; next chat/messages.rs.
//!
//! Every verb makes three moves: parse, ask, convert. Posts, which come one a call or many over one
//! stream, do so in posts.rs.

mod gate;
mod listen;
mod parse;
mod posts;
mod server;
mod spans;
mod timing;
mod tls;
mod tokens;
mod watch;

use std::sync::Arc;

use chat_core::{Chat, ChatError, ConversationId, Limits, MessageId, Seq, process::Shutdown};
use futures_util::stream::BoxStream;
use switchboard_proto::{
    convert::timestamp,
    status::from_error,
    v1::{self, chat_service_server::ChatService},
};
use tonic::{Request, Response, Status, Streaming};

use crate::watch::Watches;

pub use self::{
    server::serve,
    tls::tls,
    tokens::{ServiceName, ServiceTokens, TokensFile},
};

/// The service on the port `Chat`.
pub struct Service {
    /// Asked.
    pub chat: Arc<dyn Chat>,
    /// Sizes, checked at this edge as at any other.
    pub limits: Limits,
    /// Who may call.
    pub tokens: ServiceTokens,
    /// Who watches.
    pub watches: Watches,
    /// Once it begins, streams of posts end as soon as what they have taken is answered.
    pub stop: Shutdown,
}

type Answer<T> = Result<Response<T>, Status>;

async fn answer<T>(asked: impl Future<Output = Result<T, ChatError>>) -> Answer<T> {
    let _under_way = UnderWay::begin();
    asked.await.map(Response::new).map_err(|refusal| refused(&refusal))
}

/// Words a refusal, and counts it.
fn refused(refusal: &ChatError) -> Status {
    metrics::counter!("switchboard_refusals_total", "code" => refusal.code().as_str()).increment(1);
    from_error(refusal)
}

/// Counts a request while it is under way.
pub(crate) struct UnderWay;

impl UnderWay {
    pub(crate) fn begin() -> Self {
        metrics::gauge!("switchboard_requests_under_way").increment(1);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        metrics::gauge!("switchboard_requests_under_way").decrement(1);
    }
}

#[tonic::async_trait]
impl ChatService for Service {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Answer<v1::RegisterResponse> {
        let request = request.into_inner();
        answer(async {
            let (name, password) = parse::account(&request, &self.limits)?;
            let login = self.chat.register(name, password).await?;
            Ok(v1::RegisterResponse { login: Some((&login).into()) })
        })
        .await
    }

    async fn log_in(&self, request: Request<v1::LogInRequest>) -> Answer<v1::LogInResponse> {
        let request = request.into_inner();
        answer(async {
            let (name, password) = parse::log_in(&request)?;
            let login = self.chat.log_in(name, password).await?;
            Ok(v1::LogInResponse { login: Some((&login).into()) })
        })
        .await
    }

    async fn authenticate(
        &self,
        request: Request<v1::AuthenticateRequest>,
    ) -> Answer<v1::AuthenticateResponse> {
        let request = request.into_inner();
        answer(async {
            let session = self.chat.authenticate(parse::credential(request)?).await?;
            Ok(v1::AuthenticateResponse { session: Some((&session).into()) })
        })
        .await
    }

    async fn end_session(
        &self,
        request: Request<v1::EndSessionRequest>,
    ) -> Answer<v1::EndSessionResponse> {
        let request = request.into_inner();
        answer(async {
            self.chat.end_session(parse::session(&request.session_id)?).await?;
            Ok(v1::EndSessionResponse {})
        })
        .await
    }

    async fn list_live_sessions(
        &self,
        request: Request<v1::ListLiveSessionsRequest>,
    ) -> Answer<v1::ListLiveSessionsResponse> {
        let request = request.into_inner();
        answer(async {
            let living = self.chat.live_sessions(parse::sessions(&request.session_ids)?).await?;
            let session_ids = living.iter().map(|id| id.as_str().to_owned()).collect();
            Ok(v1::ListLiveSessionsResponse { session_ids })
        })
        .await
    }

    async fn admit_guest(
        &self,
        request: Request<v1::AdmitGuestRequest>,
    ) -> Answer<v1::AdmitGuestResponse> {
        let request = request.into_inner();
        answer(async {
            let caller = self.chat.admit_guest(parse::name(&request.name)?).await?;
            Ok(v1::AdmitGuestResponse { caller: Some((&caller).into()) })
        })
        .await
    }

    async fn get_user(&self, request: Request<v1::GetUserRequest>) -> Answer<v1::GetUserResponse> {
        let request = request.into_inner();
        answer(async {
            let user = self.chat.user(parse::user_peer(request)?).await?;
            Ok(v1::GetUserResponse { user: Some((&user).into()) })
        })
        .await
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Answer<v1::ListUsersResponse> {
        let request = request.into_inner();
        answer(async {
            let page = self.chat.users(parse::after(&request.after)?, request.limit).await?;
            Ok(v1::ListUsersResponse {
                users: page.users.iter().map(Into::into).collect(),
                next: page.next.map(|name| name.to_string()).unwrap_or_default(),
            })
        })
        .await
    }

    async fn change_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Answer<v1::ChangePasswordResponse> {
        let request = request.into_inner();
        answer(async {
            let (current, new) = parse::passwords(&request, &self.limits)?;
            let session = parse::whole_session(&*self.chat, request.session).await?;
            self.chat.change_password(&session, current, new).await?;
            Ok(v1::ChangePasswordResponse {})
        })
        .await
    }

    async fn delete_account(
        &self,
        request: Request<v1::DeleteAccountRequest>,
    ) -> Answer<v1::DeleteAccountResponse> {
        let request = request.into_inner();
        answer(async {
            self.chat.delete_account(&parse::user(&*self.chat, request.user).await?).await?;
            Ok(v1::DeleteAccountResponse {})
        })
        .await
    }

    async fn create_room(
        &self,
        request: Request<v1::CreateRoomRequest>,
    ) -> Answer<v1::CreateRoomResponse> {
        let request = request.into_inner();
        answer(async {
            let title = parse::title(&request.title)?;
            let room = self
                .chat
                .create_room(&parse::caller(&*self.chat, request.caller).await?, title)
                .await?;
            Ok(v1::CreateRoomResponse { conversation: Some((&room).into()) })
        })
        .await
    }

    async fn get_conversation(
        &self,
        request: Request<v1::GetConversationRequest>,
    ) -> Answer<v1::GetConversationResponse> {
        let request = request.into_inner();
        answer(async {
            let id = parse::conversation(&request.conversation_id)?;
            let found = self
                .chat
                .conversation(&parse::caller(&*self.chat, request.caller).await?, id)
                .await?;
            Ok(v1::GetConversationResponse { conversation: Some((&found).into()) })
        })
        .await
    }

    async fn list_rooms(
        &self,
        request: Request<v1::ListRoomsRequest>,
    ) -> Answer<v1::ListRoomsResponse> {
        let request = request.into_inner();
        answer(async {
            let after = Some(request.after).filter(|after| !after.is_empty());
            let page =
                self.chat.rooms(after, request.limit).await.map_err(|e| e.of_field("after"))?;
            Ok(v1::ListRoomsResponse {
                conversations: page.conversations.iter().map(Into::into).collect(),
                next: page.next.unwrap_or_default(),
            })
        })
        .await
    }

    async fn open_direct(
        &self,
        request: Request<v1::OpenDirectRequest>,
    ) -> Answer<v1::OpenDirectResponse> {
        let request = request.into_inner();
        answer(async {
            let peer = parse::direct_peer(request.peer)?;
            let direct = self
                .chat
                .open_direct(&parse::caller(&*self.chat, request.caller).await?, peer)
                .await?;
            Ok(v1::OpenDirectResponse { conversation: Some((&direct).into()) })
        })
        .await
    }

    async fn list_directs(
        &self,
        request: Request<v1::ListDirectsRequest>,
    ) -> Answer<v1::ListDirectsResponse> {
        let request = request.into_inner();
        answer(async {
            let directs = self
                .chat
                .directs(&parse::caller(&*self.chat, request.caller).await?, request.limit)
                .await?;
            let conversations = directs.iter().map(Into::into).collect();
            Ok(v1::ListDirectsResponse { conversations })
        })
        .await
    }

    async fn get_inbox(
        &self,
        request: Request<v1::GetInboxRequest>,
    ) -> Answer<v1::GetInboxResponse> {
        let request = request.into_inner();
        answer(async {
            let caller = parse::caller(&*self.chat, request.caller).await?;
            let inbox =
                self.chat.inbox(&caller, request.rooms_limit, request.directs_limit).await?;
            Ok((&inbox).into())
        })
        .await
    }

    async fn post_message(
        &self,
        request: Request<v1::PostMessageRequest>,
    ) -> Answer<v1::PostMessageResponse> {
        let message = posts::post(&*self.chat, &self.limits, request.into_inner()).await?;
        Ok(Response::new(v1::PostMessageResponse { message: Some(message) }))
    }

    type PostMessagesStream = BoxStream<'static, Result<v1::PostMessagesResponse, Status>>;

    async fn post_messages(
        &self,
        request: Request<Streaming<v1::PostMessagesRequest>>,
    ) -> Answer<Self::PostMessagesStream> {
        let chat = Arc::clone(&self.chat);
        let ends = watch::Watching::of(&request, self)?.ends();
        let answers = posts::answers(request.into_inner(), chat, self.limits, ends);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn edit_message(
        &self,
        request: Request<v1::EditMessageRequest>,
    ) -> Answer<v1::EditMessageResponse> {
        let request = request.into_inner();
        answer(async {
            let text = parse::text(&request.text, &self.limits)?;
            let caller = parse::caller(&*self.chat, request.caller).await?;
            let message = self.chat.edit(&caller, MessageId(request.message_id), text).await?;
            Ok(v1::EditMessageResponse { message: Some((&message).into()) })
        })
        .await
    }

    async fn delete_message(
        &self,
        request: Request<v1::DeleteMessageRequest>,
    ) -> Answer<v1::DeleteMessageResponse> {
        let request = request.into_inner();
        answer(async {
            let caller = parse::caller(&*self.chat, request.caller).await?;
            self.chat.delete(&caller, MessageId(request.message_id)).await?;
            Ok(v1::DeleteMessageResponse {})
        })
        .await
    }

    async fn get_message(
        &self,
        request: Request<v1::GetMessageRequest>,
    ) -> Answer<v1::GetMessageResponse> {
        let request = request.into_inner();
        answer(async {
            let caller = parse::caller(&*self.chat, request.caller).await?;
            let message = self.chat.message(&caller, MessageId(request.message_id)).await?;
            Ok(v1::GetMessageResponse { message: Some((&message).into()) })
        })
        .await
    }

    async fn get_history(
        &self,
        request: Request<v1::GetHistoryRequest>,
    ) -> Answer<v1::GetHistoryResponse> {
        let request = request.into_inner();
        answer(async {
            let id = parse::conversation(&request.conversation_id)?;
            let caller = parse::caller(&*self.chat, request.caller).await?;
            let span = parse::span(request.span);
            let page = self.chat.history(&caller, id, span, request.limit).await?;
            let messages = page.messages.iter().map(Into::into).collect();
            let newest_at = page.newest_at.map(timestamp);
            Ok(v1::GetHistoryResponse { messages, head: page.head.0, newest_at })
        })
        .await
    }

    async fn mark_read(
        &self,
        request: Request<v1::MarkReadRequest>,
    ) -> Answer<v1::MarkReadResponse> {
        let request = request.into_inner();
        answer(async {
            let caller = parse::caller(&*self.chat, request.caller).await?;
            self.chat.mark_read(&caller, MessageId(request.message_id)).await?;
            Ok(v1::MarkReadResponse {})
        })
        .await
    }

    async fn get_unread_count(
        &self,
        request: Request<v1::GetUnreadCountRequest>,
    ) -> Answer<v1::GetUnreadCountResponse> {
        let request = request.into_inner();
        answer(async {
            let id = parse::conversation(&request.conversation_id)?;
            let count = self
                .chat
                .unread_count(&parse::caller(&*self.chat, request.caller).await?, id)
                .await?;
            Ok(v1::GetUnreadCountResponse { count })
        })
        .await
    }

    async fn mark_seen(
        &self,
        request: Request<v1::MarkSeenRequest>,
    ) -> Answer<v1::MarkSeenResponse> {
        let request = request.into_inner();
        answer(async {
            let id = parse::conversation(&request.conversation_id)?;
            let seen = parse::seen(request.message_id, request.seen)?;
            let caller = parse::caller(&*self.chat, request.caller).await?;
            let former = self.chat.mark_seen(&caller, id, seen).await?;
            Ok(v1::MarkSeenResponse { seen: former.map(timestamp) })
        })
        .await
    }

    async fn list_changes(
        &self,
        request: Request<v1::ListChangesRequest>,
    ) -> Answer<v1::ListChangesResponse> {
        let request = request.into_inner();
        answer(async {
            let id = parse::conversation(&request.conversation_id)?;
            let changes = self.chat.changes(id, Seq(request.since), request.limit).await?;
            Ok(v1::ListChangesResponse { changes: changes.iter().map(Into::into).collect() })
        })
        .await
    }

    async fn get_heads(
        &self,
        request: Request<v1::GetHeadsRequest>,
    ) -> Answer<v1::GetHeadsResponse> {
        let request = request.into_inner();
        answer(async {
            let ids = parse::conversations(&request.conversation_ids);
            let heads = self.chat.heads(ids).await.map_err(|e| e.of_field("conversation_ids"))?;
            let head = |(id, seq): (ConversationId, Seq)| v1::Head {
                conversation_id: id.to_string(),
                seq: seq.0,
            };
            Ok(v1::GetHeadsResponse { heads: heads.into_iter().map(head).collect() })
        })
        .await
    }

    type WatchEventsStream = BoxStream<'static, Result<v1::WatchEventsResponse, Status>>;

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Answer<Self::WatchEventsStream> {
        let watching = watch::Watching::of(&request, self)?;
        let begun = watch::begin(&self.watches, watching.service(), request.into_inner()).await;
        let watcher = begun.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(Box::pin(watch::answers(watcher, watching))))
    }
}
