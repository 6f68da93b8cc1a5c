//! The rules: the port `Chat` on the store, the sessions and the publisher.
//!
//! | module | verbs |
//! |---|---|
//! | `accounts` | register, log in, authenticate, end sessions, admit guests |
//! | `identities` | who comes with a token of another issuer |
//! | `password` | change a password |
//! | `deletion` | delete an account |
//! | `conversations` | make and list rooms, open and list directs |
//! | `messages` | post, edit, delete, read one or a page (hop 5) |
//! | `reads` | mark as read, count the unread, remember how far somebody has seen, the inbox |
//! | `repair` | changes since a seq, heads |

mod accounts;
mod conversations;
mod deletion;
mod identities;
mod messages;
mod password;
mod reads;
mod repair;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{
    Caller, Change, ChangeKind, Chat, ChatError, Code, Conversation, ConversationId,
    ConversationKind, Credential, Event, Inbox, Login, Message, MessageId, MessageText, Password,
    Result, Seq, Session, SessionId, SocketKey, Title, User, UserId, Username,
    chat::DIRECTS_MAX,
    model::{ConversationPage, History, NewMessage, Peer, Seen, Span, UserPage},
    process::Shutdown,
    rights::{self, Verb},
};
use time::OffsetDateTime;

use crate::{
    doorkeeper::Doorkeeper,
    issuers::Issuers,
    passwords::Passwords,
    publisher::{Publisher, topics},
    sessions::Sessions,
    store::{Store, group_commit::GroupCommit},
    tokens::Tokens,
};

/// What the rules rest on.
#[derive(Clone)]
pub struct Rules {
    /// What lasts.
    pub store: Store,
    /// Where posts go.
    pub group_commit: GroupCommit,
    /// Who is logged in.
    pub sessions: Sessions,
    /// JWTs.
    pub tokens: Tokens,
    /// Tokens of others.
    pub issuers: Issuers,
    /// Hashing.
    pub passwords: Passwords,
    /// Telling the gateways.
    pub publisher: Publisher,
    /// How often somebody may do what everybody hears of.
    pub door: Arc<Doorkeeper>,
    /// Are guests let in?
    pub guests: bool,
    /// Where changes go to their ends.
    pub tasks: Shutdown,
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
            _ => self.store.user_by_id(user.id).await?,
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

/// Less than what a gateway waits, so that it hears an answer and has time to ask another replica.
const LIMIT: Duration = Duration::from_secs(4);

/// What takes longer is not waited for: something that it needs is silent.
async fn in_time<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    let answer = tokio::time::timeout(LIMIT, asked).await;
    answer.unwrap_or_else(|_| Err(ChatError::unavailable("the request", "it took too long")))
}

/// Each verb stands in the module that the table above names. What changes something is never given
/// up half way, whoever hangs up: it goes to its end in a task of its own. Those that are one step do
/// without: a post, which the group commit takes whole, and a mark of how far somebody has seen.
#[async_trait]
impl Chat for Rules {
    async fn register(&self, name: Username, password: Option<Password>) -> Result<Login> {
        self.register_account(name, password).await
    }

    async fn log_in(&self, name: Username, password: Password) -> Result<Login> {
        in_time(self.check_log_in(name, password)).await
    }

    async fn authenticate(&self, credential: Credential) -> Result<Session> {
        in_time(self.session_of(credential)).await
    }

    async fn end_session(&self, session: SessionId) -> Result<()> {
        let rules = self.clone();
        in_time(self.tasks.to_the_end(async move { rules.end(session).await })).await
    }

    async fn live_sessions(&self, sessions: Vec<SessionId>) -> Result<Vec<SessionId>> {
        in_time(self.sessions.living(sessions)).await
    }

    async fn admit_guest(&self, name: Username) -> Result<Caller> {
        in_time(self.let_in(name)).await
    }

    async fn user(&self, peer: Peer) -> Result<User> {
        in_time(async { Ok(self.store.user(&peer).await?) }).await
    }

    async fn users(&self, after: Option<Username>, limit: u32) -> Result<UserPage> {
        in_time(async { Ok(self.store.users(after.as_ref(), limit.clamp(1, DIRECTS_MAX)).await?) })
            .await
    }

    async fn change_password(
        &self,
        session: &Session,
        current: Password,
        new: Password,
    ) -> Result<()> {
        self.replace_password(session, current, new).await
    }

    async fn delete_account(&self, user: &User) -> Result<()> {
        let (rules, user) = (self.clone(), user.clone());
        self.tasks.to_the_end(async move { rules.delete_user(&user).await }).await
    }

    async fn create_room(&self, caller: &Caller, title: Title) -> Result<Conversation> {
        let (rules, caller) = (self.clone(), caller.clone());
        in_time(self.tasks.to_the_end(async move { rules.make_room(&caller, title).await })).await
    }

    async fn conversation(&self, caller: &Caller, id: ConversationId) -> Result<Conversation> {
        in_time(self.one_conversation(caller, id)).await
    }

    async fn rooms(&self, after: Option<String>, limit: u32) -> Result<ConversationPage> {
        in_time(self.list_rooms(after.as_deref(), limit)).await
    }

    async fn open_direct(&self, caller: &Caller, peer: Peer) -> Result<Conversation> {
        let (rules, caller) = (self.clone(), caller.clone());
        in_time(self.tasks.to_the_end(async move { rules.direct_with(&caller, peer).await })).await
    }

    async fn directs(&self, caller: &Caller, limit: u32) -> Result<Vec<Conversation>> {
        in_time(self.list_directs(caller, limit)).await
    }

    async fn inbox(&self, caller: &Caller, rooms: u32, directs: u32) -> Result<Inbox> {
        in_time(self.list_inbox(caller, rooms, directs)).await
    }

    async fn post_run(
        &self,
        caller: &Caller,
        run: Vec<NewMessage>,
        origin: Option<SocketKey>,
    ) -> Vec<Result<Message>> {
        let count = run.len();
        let answers = in_time(self.post_messages(caller, run, origin)).await;
        answers.unwrap_or_else(|refusal| vec![Err(refusal); count])
    }

    async fn edit(&self, caller: &Caller, id: MessageId, text: MessageText) -> Result<Message> {
        let (rules, caller) = (self.clone(), caller.clone());
        in_time(self.tasks.to_the_end(async move { rules.edit_message(&caller, id, text).await }))
            .await
    }

    async fn delete(&self, caller: &Caller, id: MessageId) -> Result<()> {
        let (rules, caller) = (self.clone(), caller.clone());
        in_time(self.tasks.to_the_end(async move { rules.delete_message(&caller, id).await })).await
    }

    async fn message(&self, caller: &Caller, id: MessageId) -> Result<Message> {
        in_time(async { Ok(self.readable_message(caller, id).await?.0) }).await
    }

    async fn history(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        span: Span,
        limit: u32,
    ) -> Result<History> {
        in_time(self.page(caller, conversation, span, limit)).await
    }

    async fn mark_read(&self, caller: &Caller, id: MessageId) -> Result<()> {
        let (rules, caller) = (self.clone(), caller.clone());
        in_time(self.tasks.to_the_end(async move { rules.read_message(&caller, id).await })).await
    }

    async fn unread_count(&self, caller: &Caller, conversation: ConversationId) -> Result<u64> {
        in_time(self.count_unread(caller, conversation)).await
    }

    async fn mark_seen(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        seen: Option<Seen>,
    ) -> Result<Option<OffsetDateTime>> {
        in_time(self.see(caller, conversation, seen)).await
    }

    async fn changes(
        &self,
        conversation: ConversationId,
        since: Seq,
        limit: u32,
    ) -> Result<Vec<Change>> {
        in_time(self.changes_since(conversation, since, limit)).await
    }

    async fn heads(
        &self,
        conversations: Vec<ConversationId>,
    ) -> Result<Vec<(ConversationId, Seq)>> {
        in_time(self.heads_of(&conversations)).await
    }
}
