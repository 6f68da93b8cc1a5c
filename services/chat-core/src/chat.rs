//! The port `Chat`: ask. message-api implements it on its store, the gateway over gRPC.

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    error::{ChatError, Result},
    event::Change,
    ids::{ConversationId, MessageId, Seq, SessionId, SocketKey},
    inbox::Inbox,
    model::{
        Caller, Conversation, ConversationPage, Credential, History, Login, Message, NewMessage,
        Peer, Seen, Session, Span, User, UserPage,
    },
    text::{MessageText, Password, Username},
    title::Title,
};

/// Everything that can be asked of the chat, whatever the client's protocol.
///
/// Every verb may fail with `unavailable` (nothing was decided: ask again) or `internal`.
#[async_trait]
pub trait Chat: Send + Sync + 'static {
    // Accounts and sessions.

    /// Makes an account and begins its first session. An account without a password can never be
    /// logged in to again. Fails with `username_taken`.
    async fn register(&self, name: Username, password: Option<Password>) -> Result<Login>;

    /// Begins a session. Fails with `invalid_credentials`, in the same time whether the user is
    /// unknown or the password wrong.
    async fn log_in(&self, name: Username, password: Password) -> Result<Login>;

    /// Whose session or token is this? Slides the session's expiry. Fails with `unauthorised` for
    /// a session, `invalid_token` for a token.
    async fn authenticate(&self, credential: Credential) -> Result<Session>;

    /// Ends a session, its tokens and, on every replica, its sockets. Ending a dead one is fine.
    async fn end_session(&self, session: SessionId) -> Result<()>;

    /// Those of the given sessions that are still alive.
    async fn live_sessions(&self, sessions: Vec<SessionId>) -> Result<Vec<SessionId>>;

    /// Lets a guest in under a name. Fails with `username_taken` if a registered user bears it,
    /// with `unauthorised` where guests are turned off.
    async fn admit_guest(&self, name: Username) -> Result<Caller>;

    /// Finds a user by name or id. Fails with `unknown_user`.
    async fn user(&self, peer: Peer) -> Result<User>;

    /// All users, sorted by name without regard to case, those whose names come after `after`.
    async fn users(&self, after: Option<Username>, limit: u32) -> Result<UserPage>;

    /// Changes the password of a session's user. All their other sessions end. Fails with
    /// `invalid_credentials` if `current` is not their password, as for those who have none.
    async fn change_password(
        &self,
        session: &Session,
        current: Password,
        new: Password,
    ) -> Result<()>;

    /// Deletes the user's account, for good: all its sessions end, everybody hears
    /// [`Notice::UserDeleted`](crate::Notice). What they wrote stays under their name, and the
    /// name stays taken, so that nobody can pose as its author. Twice is as good as once. Fails with
    /// `unknown_user` for somebody who never was.
    async fn delete_account(&self, user: &User) -> Result<()>;

    // Conversations.

    /// Makes a room. Fails with `name_taken`; guests with `unauthorised`.
    async fn create_room(&self, caller: &Caller, title: Title) -> Result<Conversation>;

    /// One conversation. Fails with `not_found`, also when the caller may not know of it.
    async fn conversation(&self, caller: &Caller, id: ConversationId) -> Result<Conversation>;

    /// The lobby and the rooms, newest activity first. `after` is a former page's `next`.
    async fn rooms(&self, after: Option<String>, limit: u32) -> Result<ConversationPage>;

    /// The direct conversation with a peer, made if there is none: one per pair, whoever starts
    /// it and however many replicas race. Fails with `unknown_user`, `invalid_recipient`.
    async fn open_direct(&self, caller: &Caller, peer: Peer) -> Result<Conversation>;

    /// The caller's directs, newest activity first, at most `limit` (cut to [`DIRECTS_MAX`]).
    /// Those where nothing was ever said come last. None for guests.
    async fn directs(&self, caller: &Caller, limit: u32) -> Result<Vec<Conversation>>;

    /// The caller's inbox: at most so many rooms, the lobby among them, and so many directs (each
    /// cut to [`ROWS_MAX`](crate::inbox::ROWS_MAX)). Guests have none: `unauthorised`.
    async fn inbox(&self, caller: &Caller, rooms: u32, directs: u32) -> Result<Inbox>;

    // Messages.

    /// Posts. When this returns, the message is durable and every socket that follows the
    /// conversation will hear of it. The same author and `client_id` again return the first
    /// message and store none. `origin` is the socket it came from.
    async fn post(
        &self,
        caller: &Caller,
        message: NewMessage,
        origin: Option<SocketKey>,
    ) -> Result<Message> {
        let answer = self.post_run(caller, vec![message], origin).await.pop();
        answer.unwrap_or_else(|| Err(ChatError::internal("a post", "it has no answer")))
    }

    /// Posts a run: what one caller says in one conversation, one message after the other, at least
    /// one and at most [`RUN_MAX`] of them. Each is answered as by [`Self::post`], in their order.
    /// None overtakes another, not even one that has to be tried again.
    async fn post_run(
        &self,
        caller: &Caller,
        run: Vec<NewMessage>,
        origin: Option<SocketKey>,
    ) -> Vec<Result<Message>>;

    /// Changes the text of one's own message. Fails with `not_found`, `forbidden`.
    async fn edit(&self, caller: &Caller, id: MessageId, text: MessageText) -> Result<Message>;

    /// Deletes one's own message, for everybody. Fails with `not_found`, `forbidden`.
    async fn delete(&self, caller: &Caller, id: MessageId) -> Result<()>;

    /// One message. Fails with `not_found`, also when the caller may not read it.
    async fn message(&self, caller: &Caller, id: MessageId) -> Result<Message>;

    /// A page of a conversation's messages, and where the feed takes over. `limit` is cut to
    /// [`HISTORY_MAX`].
    async fn history(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        span: Span,
        limit: u32,
    ) -> Result<History>;

    // Reads.

    /// Marks a direct message as read by its recipient; twice is as good as once. Fails with
    /// `not_found`, `forbidden` for anybody else.
    async fn mark_read(&self, caller: &Caller, id: MessageId) -> Result<()>;

    /// How many messages of a direct the caller has not read.
    async fn unread_count(&self, caller: &Caller, conversation: ConversationId) -> Result<u64>;

    /// How far the caller had read a conversation, as the time of the newest message they had
    /// seen (`None`: never), and moves that mark to `seen` if that is later. None for guests. Up to
    /// a message only the lobby and rooms are seen (those of directs are read one by one); fails
    /// with `not_found` for a message that never was there.
    async fn mark_seen(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        seen: Option<Seen>,
    ) -> Result<Option<OffsetDateTime>>;

    // Repair: for those who hold sockets, not for users.

    /// The changes of a conversation after `since`, in order, without holes, at most `limit`
    /// (cut to [`CHANGES_MAX`]). Fewer than `limit` means: these were the last.
    async fn changes(
        &self,
        conversation: ConversationId,
        since: Seq,
        limit: u32,
    ) -> Result<Vec<Change>>;

    /// The heads of many conversations at once; unknown ones are left out.
    async fn heads(&self, conversations: Vec<ConversationId>)
    -> Result<Vec<(ConversationId, Seq)>>;
}

/// The longest page of history (000's default cap).
pub const HISTORY_MAX: u32 = 1_000;

/// The longest page of directs, and of users.
pub const DIRECTS_MAX: u32 = 1_000;

/// The longest run of posts.
pub const RUN_MAX: usize = 32;

/// The longest page of changes.
pub const CHANGES_MAX: u32 = 500;
