//! The rules: the port `Chat` on the store, the sessions and the publisher.
//!
//! | module | verbs |
//! |---|---|
//! | `accounts` | register, log in, authenticate, end sessions, admit guests |
//! | `deletion` | delete an account |
//! | `conversations` | make and list rooms, open and list directs |
//! | `messages` | post, edit, delete, read one or a page (hop 5) |
//! | `reads` | mark as read, count the unread, remember how far somebody has seen |
//! | `repair` | changes since a seq, heads |

mod accounts;
mod conversations;
mod deletion;
mod messages;
mod reads;
mod repair;

use async_trait::async_trait;
use chat_core::{
    Caller, Change, ChangeKind, Chat, ChatError, Code, Conversation, ConversationId,
    ConversationKind, Credential, Event, Login, Message, MessageId, MessageText, Password, Result,
    Seq, Session, SessionId, SocketKey, Title, User, UserId, Username,
    chat::DIRECTS_MAX,
    model::{ConversationPage, History, NewMessage, Peer, Span, UserPage},
    rights::{self, Verb},
};

use time::OffsetDateTime;

use crate::{
    passwords::Passwords,
    publisher::{Publisher, topics},
    sessions::Sessions,
    store::{Store, group_commit::GroupCommit},
    tokens::Tokens,
};

/// What the rules rest on.
pub struct Rules {
    /// What lasts.
    pub store: Store,
    /// Where posts go.
    pub group_commit: GroupCommit,
    /// Who is logged in.
    pub sessions: Sessions,
    /// JWTs.
    pub tokens: Tokens,
    /// Hashing.
    pub passwords: Passwords,
    /// Telling the gateways.
    pub publisher: Publisher,
    /// Are guests let in?
    pub guests: bool,
}

impl Rules {
    /// Is the caller who they are said to be? Whoever asks over gRPC vouches for it, and is not
    /// believed blindly.
    async fn admit(&self, caller: &Caller) -> Result<()> {
        self.admit_to(caller, Verb::Read).await
    }

    async fn admit_to(&self, caller: &Caller, verb: Verb) -> Result<()> {
        let user = match caller {
            Caller::Guest(_) if self.guests => return Ok(()),
            Caller::Guest(_) => return Err(ChatError::unauthorised()),
            Caller::User(user) => user,
        };
        let known = match verb {
            Verb::Post => self.store.author(user.id).await?,
            Verb::Read => self.store.user_by_id(user.id).await?,
        };
        match known {
            Some(known) if known.name == user.name => Ok(()),
            _ => Err(ChatError::new(Code::Unauthorised, "there is no such user, log in again")),
        }
    }

    /// The kind of a conversation in which this caller may do this. Fails with `not_found`.
    async fn permit(
        &self,
        caller: &Caller,
        verb: Verb,
        conversation: ConversationId,
    ) -> Result<ConversationKind> {
        self.admit_to(caller, verb).await?;
        let kind = self.store.kind(conversation).await?.ok_or_else(no_such_conversation)?;
        rights::in_conversation(caller, verb, &kind)?;
        Ok(kind)
    }

    /// Tells the gateways of a change that is not a post (those are told by the group commit).
    fn tell(
        &self,
        kind: &ConversationKind,
        conversation: ConversationId,
        seq: Seq,
        what: ChangeKind,
    ) {
        let change = Change { conversation, seq, origin: None, kind: what };
        self.publisher.publish(topics(conversation, peers(kind)), Event::Change(change));
    }
}

fn no_such_conversation() -> ChatError {
    ChatError::new(Code::NotFound, "there is no such conversation")
}

/// The two of a direct.
fn peers(kind: &ConversationKind) -> Option<[UserId; 2]> {
    match kind {
        ConversationKind::Direct { peers } => Some([peers[0].id, peers[1].id]),
        ConversationKind::Lobby | ConversationKind::Room => None,
    }
}

/// Each verb stands in the module that the table above names.
#[async_trait]
impl Chat for Rules {
    async fn register(&self, name: Username, password: Option<Password>) -> Result<Login> {
        self.register_account(name, password).await
    }

    async fn log_in(&self, name: Username, password: Password) -> Result<Login> {
        self.check_log_in(name, password).await
    }

    async fn authenticate(&self, credential: Credential) -> Result<Session> {
        self.session_of(credential).await
    }

    async fn end_session(&self, session: SessionId) -> Result<()> {
        self.end(session).await
    }

    async fn live_sessions(&self, sessions: Vec<SessionId>) -> Result<Vec<SessionId>> {
        self.sessions.living(sessions).await
    }

    async fn admit_guest(&self, name: Username) -> Result<Caller> {
        self.let_in(name).await
    }

    async fn user(&self, peer: Peer) -> Result<User> {
        Ok(self.store.user(&peer).await?)
    }

    async fn users(&self, after: Option<Username>, limit: u32) -> Result<UserPage> {
        Ok(self.store.users(after.as_ref(), limit.clamp(1, DIRECTS_MAX)).await?)
    }

    async fn delete_account(&self, user: &User) -> Result<()> {
        self.delete_user(user).await
    }

    async fn create_room(&self, caller: &Caller, title: Title) -> Result<Conversation> {
        self.make_room(caller, title).await
    }

    async fn conversation(&self, caller: &Caller, id: ConversationId) -> Result<Conversation> {
        self.one_conversation(caller, id).await
    }

    async fn rooms(&self, after: Option<String>, limit: u32) -> Result<ConversationPage> {
        self.list_rooms(after.as_deref(), limit).await
    }

    async fn open_direct(&self, caller: &Caller, peer: Peer) -> Result<Conversation> {
        self.direct_with(caller, peer).await
    }

    async fn directs(&self, caller: &Caller, limit: u32) -> Result<Vec<Conversation>> {
        self.list_directs(caller, limit).await
    }

    async fn post(
        &self,
        caller: &Caller,
        message: NewMessage,
        origin: Option<SocketKey>,
    ) -> Result<Message> {
        self.post_message(caller, message, origin).await
    }

    async fn edit(&self, caller: &Caller, id: MessageId, text: MessageText) -> Result<Message> {
        self.edit_message(caller, id, text).await
    }

    async fn delete(&self, caller: &Caller, id: MessageId) -> Result<()> {
        self.delete_message(caller, id).await
    }

    async fn message(&self, caller: &Caller, id: MessageId) -> Result<Message> {
        Ok(self.readable_message(caller, id).await?.0)
    }

    async fn history(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        span: Span,
        limit: u32,
    ) -> Result<History> {
        self.page(caller, conversation, span, limit).await
    }

    async fn mark_read(&self, caller: &Caller, id: MessageId) -> Result<()> {
        self.read_message(caller, id).await
    }

    async fn unread_count(&self, caller: &Caller, conversation: ConversationId) -> Result<u64> {
        self.count_unread(caller, conversation).await
    }

    async fn mark_seen(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        seen: Option<OffsetDateTime>,
    ) -> Result<Option<OffsetDateTime>> {
        self.see(caller, conversation, seen).await
    }

    async fn changes(
        &self,
        conversation: ConversationId,
        since: Seq,
        limit: u32,
    ) -> Result<Vec<Change>> {
        self.changes_since(conversation, since, limit).await
    }

    async fn heads(
        &self,
        conversations: Vec<ConversationId>,
    ) -> Result<Vec<(ConversationId, Seq)>> {
        self.heads_of(&conversations).await
    }
}
