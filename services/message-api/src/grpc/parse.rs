//! Requests → the model's words. Whoever called is not believed: everything is checked here as at
//! any other edge.

use chat_core::{
    Caller, ChatError, ConversationId, Credential, Limits, MessageId, MessageText, Password,
    SessionId, Title, User, UserId, Username,
    model::{NewMessage, Peer, Span},
};
use switchboard_proto::{
    convert::{client_id, required, session_id},
    v1,
};

type Result<T> = std::result::Result<T, ChatError>;

/// Sessions that can be asked for at once.
const SESSIONS_MAX: usize = 1_000;

pub(super) fn caller(party: Option<v1::Party>) -> Result<Caller> {
    required(party, "caller")?.try_into()
}

pub(super) fn user(user: Option<v1::User>) -> Result<User> {
    required(user, "user")?.try_into()
}

/// Where a former page of users ended; empty for the first.
pub(super) fn after(raw: &str) -> Result<Option<Username>> {
    (!raw.is_empty()).then(|| Username::parse(raw)).transpose()
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
    let password = password.map(|raw| Password::parse(raw, limits)).transpose()?;
    Ok((Username::parse(&request.username)?, password))
}

pub(super) fn log_in(request: &v1::LogInRequest) -> Result<(Username, Password)> {
    Ok((Username::parse(&request.username)?, Password::offered(&request.password)?))
}

pub(super) fn sessions(raw: &[String]) -> Result<Vec<SessionId>> {
    if raw.len() > SESSIONS_MAX {
        return Err(ChatError::invalid_payload("at most 1,000 sessions at once"));
    }
    raw.iter().map(|id| session_id(id)).collect()
}

pub(super) fn name(raw: &str) -> Result<Username> {
    Username::parse(raw)
}

pub(super) fn credential(request: v1::AuthenticateRequest) -> Result<Credential> {
    use v1::authenticate_request::Credential as Shown;
    Ok(match required(request.credential, "credential")? {
        Shown::Secret(secret) => Credential::Session(secret.into()),
        Shown::Token(token) => Credential::Token(token.into()),
    })
}

pub(super) fn user_peer(request: v1::GetUserRequest) -> Result<Peer> {
    use v1::get_user_request::Peer as Named;
    Ok(match required(request.peer, "peer")? {
        Named::Name(name) => Peer::Name(Username::parse(&name)?),
        Named::Id(id) => Peer::Id(UserId(id)),
    })
}

pub(super) fn direct_peer(peer: Option<v1::open_direct_request::Peer>) -> Result<Peer> {
    use v1::open_direct_request::Peer as Named;
    Ok(match required(peer, "peer")? {
        Named::PeerName(name) => Peer::Name(Username::parse(&name)?),
        Named::PeerId(id) => Peer::Id(UserId(id)),
    })
}

pub(super) fn title(raw: &str) -> Result<Title> {
    Title::parse(raw)
}

pub(super) fn text(raw: &str, limits: &Limits) -> Result<MessageText> {
    MessageText::parse(raw, limits)
}

pub(super) fn new_message(request: v1::PostMessageRequest, limits: &Limits) -> Result<NewMessage> {
    let via = request.via().into();
    Ok(NewMessage {
        conversation: request.conversation_id.parse()?,
        text: text(&request.text, limits)?,
        media: request.media,
        client_id: client_id(&request.client_id)?,
        via,
    })
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
