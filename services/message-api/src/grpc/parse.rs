//! Requests → the model's words. Whoever called is not believed: everything is checked here as at
//! any other edge.

use chat_core::{
    Caller, Chat, ChatError, ConversationId, Credential, Limits, MessageId, MessageText, Password,
    Session, SessionId, Title, User, UserId, Username,
    model::{NewMessage, Peer, Seen, Span},
};
use switchboard_proto::{
    convert::{Timestamp, client_id, instant, required, session_id},
    v1,
};

type Result<T> = std::result::Result<T, ChatError>;

/// Sessions that can be asked for at once.
const SESSIONS_MAX: usize = 1_000;

/// Who asks. A user may be named by their id or their name alone: then they are looked up.
pub(super) async fn caller(chat: &dyn Chat, party: Option<v1::Party>) -> Result<Caller> {
    use v1::party::Kind;
    let party = party.and_then(|party| party.kind);
    Ok(match required(party, "caller").map_err(in_field("caller"))? {
        Kind::User(user) => Caller::User(whole(chat, user, "caller.user").await?),
        Kind::Guest(name) => {
            Caller::Guest(Username::parse(&name).map_err(in_field("caller.guest"))?)
        }
    })
}

/// The same for a user who is not the caller.
pub(super) async fn user(chat: &dyn Chat, user: Option<v1::User>) -> Result<User> {
    let user = required(user, "user").map_err(in_field("user"))?;
    whole(chat, user, "user").await
}

/// Both given: whoever knows the user so well need not be made to wait for a look-up.
async fn whole(chat: &dyn Chat, user: v1::User, field: &'static str) -> Result<User> {
    let v1::User { id, name } = user;
    match (id, &*name) {
        (0, "") => {
            let sentence = "a user needs an id or a name";
            Err(ChatError::invalid_payload(sentence).of_field(field))
        }
        (0, name) => chat.user(Peer::Name(Username::parse(name).map_err(in_field(field))?)).await,
        (id, "") => chat.user(Peer::Id(UserId(id))).await,
        (id, name) => {
            Ok(User { id: UserId(id), name: Username::parse(name).map_err(in_field(field))? })
        }
    }
}

/// Says which field a refusal is about.
fn in_field(field: &'static str) -> impl FnOnce(ChatError) -> ChatError {
    move |refusal| refusal.of_field(field)
}

/// Where a former page of users ended; empty for the first.
pub(super) fn after(raw: &str) -> Result<Option<Username>> {
    (!raw.is_empty()).then(|| Username::parse(raw)).transpose().map_err(in_field("after"))
}

pub(super) fn conversation(raw: &str) -> Result<ConversationId> {
    if raw.is_empty() {
        let sentence = "conversation_id is missing";
        return Err(ChatError::invalid_payload(sentence).of_field("conversation_id"));
    }
    raw.parse()
}

pub(super) fn conversations(raw: &[String]) -> Vec<ConversationId> {
    // An id that none can bear is like one that none bears: left out.
    raw.iter().filter_map(|id| id.parse().ok()).collect()
}

pub(super) fn account(
    request: &v1::RegisterRequest,
    limits: &Limits,
) -> Result<(Username, Option<Password>)> {
    let password = request.password.as_deref();
    let password = password.map(|raw| Password::parse(raw, limits)).transpose();
    let name = Username::parse(&request.username).map_err(in_field("username"))?;
    Ok((name, password.map_err(in_field("password"))?))
}

pub(super) fn log_in(request: &v1::LogInRequest) -> Result<(Username, Password)> {
    let name = Username::parse(&request.username).map_err(in_field("username"))?;
    Ok((name, Password::offered(&request.password).map_err(in_field("password"))?))
}

/// The current password and the new one.
pub(super) fn passwords(
    request: &v1::ChangePasswordRequest,
    limits: &Limits,
) -> Result<(Password, Password)> {
    let current = Password::offered(&request.current_password);
    let new = Password::parse(&request.new_password, limits);
    Ok((current.map_err(in_field("current_password"))?, new.map_err(in_field("new_password"))?))
}

/// A session and its user.
pub(super) async fn whole_session(chat: &dyn Chat, given: Option<v1::Session>) -> Result<Session> {
    let given = required(given, "session").map_err(in_field("session"))?;
    let id = session_id(&given.id).map_err(in_field("session.id"))?;
    Ok(Session { id, user: user(chat, given.user).await? })
}

pub(super) fn sessions(raw: &[String]) -> Result<Vec<SessionId>> {
    if raw.len() > SESSIONS_MAX {
        let sentence = "at most 1,000 sessions at once";
        return Err(ChatError::invalid_payload(sentence).of_field("session_ids"));
    }
    raw.iter().map(|id| session_id(id).map_err(in_field("session_ids"))).collect()
}

pub(super) fn session(raw: &str) -> Result<SessionId> {
    session_id(raw).map_err(in_field("session_id"))
}

pub(super) fn name(raw: &str) -> Result<Username> {
    Username::parse(raw).map_err(in_field("name"))
}

pub(super) fn credential(request: v1::AuthenticateRequest) -> Result<Credential> {
    use v1::authenticate_request::Credential as Shown;
    Ok(match required(request.credential, "credential").map_err(in_field("credential"))? {
        Shown::Secret(secret) => Credential::Session(secret.into()),
        Shown::Token(token) => Credential::Token(token.into()),
    })
}

pub(super) fn user_peer(request: v1::GetUserRequest) -> Result<Peer> {
    use v1::get_user_request::Peer as Named;
    Ok(match required(request.peer, "peer").map_err(in_field("peer"))? {
        Named::Name(name) => Peer::Name(Username::parse(&name).map_err(in_field("name"))?),
        Named::Id(id) => Peer::Id(UserId(id)),
    })
}

pub(super) fn direct_peer(peer: Option<v1::open_direct_request::Peer>) -> Result<Peer> {
    use v1::open_direct_request::Peer as Named;
    Ok(match required(peer, "peer").map_err(in_field("peer"))? {
        Named::PeerName(name) => Peer::Name(Username::parse(&name).map_err(in_field("peer_name"))?),
        Named::PeerId(id) => Peer::Id(UserId(id)),
    })
}

pub(super) fn title(raw: &str) -> Result<Title> {
    Title::parse(raw).map_err(in_field("title"))
}

pub(super) fn text(raw: &str, limits: &Limits) -> Result<MessageText> {
    MessageText::parse(raw, limits).map_err(in_field("text"))
}

pub(super) fn new_message(request: v1::PostMessageRequest, limits: &Limits) -> Result<NewMessage> {
    let via = request.via().into();
    Ok(NewMessage {
        conversation: conversation(&request.conversation_id)?,
        text: text(&request.text, limits)?,
        media: request.media,
        client_id: client_id(&request.client_id).map_err(in_field("client_id"))?,
        via,
    })
}

/// How far a conversation was seen; 0 is no message.
pub(super) fn seen(message: u64, at: Option<Timestamp>) -> Result<Option<Seen>> {
    match (message, at) {
        (0, at) => Ok(at.map(instant).map(Seen::At)),
        (id, None) => Ok(Some(Seen::Message(MessageId(id)))),
        (_, Some(_)) => {
            let sentence = "either message_id or seen says how far it was seen, not both";
            Err(ChatError::invalid_payload(sentence).of_field("message_id"))
        }
    }
}

pub(super) fn span(span: Option<v1::get_history_request::Span>) -> Span {
    use v1::get_history_request::Span as Wanted;
    match span {
        None => Span::Newest,
        Some(Wanted::Before(id)) => Span::Before(MessageId(id)),
        Some(Wanted::After(id)) => Span::After(MessageId(id)),
        Some(Wanted::Offset(skip)) => Span::Offset(skip),
    }
}
