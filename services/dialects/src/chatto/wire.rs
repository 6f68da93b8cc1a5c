//! The JSON of 004: what its clients send and get.

use chat_core::{
    Caller, ChatError, ClientId, Code, Conversation, ConversationId, Limits, Message, MessageText,
    Result, Seq, Title, Username, clock,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::payload::Fields;

/// A message, in `chat message`, `message history` and `message edited`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatMessage<'a> {
    /// The message's id.
    #[serde(rename = "_id")]
    pub id: String,
    /// The room's id.
    pub room: String,
    /// Who wrote it.
    pub user: &'a str,
    /// The text exactly.
    pub text: &'a str,
    /// ISO 8601, UTC, milliseconds.
    pub timestamp: String,
    /// Its place in the room.
    pub seq: u64,
    /// When it was last edited, ISO 8601; absent while it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<String>,
}

impl<'a> From<&'a Message> for ChatMessage<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            id: message.id.to_string(),
            room: message.conversation.to_string(),
            user: message.author.name().as_str(),
            text: &message.text,
            timestamp: clock::iso(message.created_at),
            seq: message.seq.0,
            edited: message.edited_at.map(clock::iso),
        }
    }
}

/// A room, in `room created` and `GET /api/rooms`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// The room's id.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// ISO 8601, UTC, milliseconds.
    pub created_at: String,
}

impl From<&Conversation> for Room {
    fn from(room: &Conversation) -> Self {
        Self {
            id: room.id.to_string(),
            name: room.title.clone(),
            created_at: clock::iso(room.created_at),
        }
    }
}

/// `{roomId, user}`, in `user joined room`, `user left room` and `typing`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InRoom<'a> {
    /// Which room.
    pub room_id: String,
    /// Who.
    pub user: &'a str,
}

/// `message deleted`.
#[derive(Clone, Debug, Serialize)]
pub struct MessageDeleted {
    /// The message's id.
    #[serde(rename = "_id")]
    pub id: String,
    /// The room's id.
    pub room: String,
}

/// The acknowledgement of a success.
#[derive(Clone, Debug, Serialize)]
pub struct Success<T: Serialize> {
    success: bool,
    #[serde(flatten)]
    body: T,
}

impl<T: Serialize> Success<T> {
    /// `{"success": true}` and what `body` adds.
    pub fn ack(body: T) -> Result<Value> {
        serde_json::to_value(Self { success: true, body })
            .map_err(|cause| ChatError::internal("an acknowledgement", cause))
    }
}

/// Nothing beside `success`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Nothing {}

/// `{"message": …}` beside `success`.
#[derive(Clone, Debug, Serialize)]
pub struct Posted<'a> {
    /// The durable message.
    pub message: ChatMessage<'a>,
}

/// `{"room": …}` beside `success`.
#[derive(Clone, Debug, Serialize)]
pub struct Created {
    /// The new room.
    pub room: Room,
}

/// What names the room and the user in every event about a room.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which room.
    pub room: ConversationId,
    /// The `user` of the payload, if it has one.
    pub user: Option<Username>,
}

impl Place {
    fn parse(fields: Fields<'_>) -> Result<Self> {
        let room = fields.text("roomId")?.parse().map_err(|_| unknown_room())?;
        let user = fields.optional_text("user")?.map(Username::parse).transpose()?;
        Ok(Self { room, user })
    }

    /// `{roomId, user}`, or the bare id as published clients send it.
    pub fn of(payload: &Value) -> Result<Self> {
        match payload {
            Value::String(id) => {
                Ok(Self { room: id.parse().map_err(|_| unknown_room())?, user: None })
            }
            _ => Self::parse(Fields::of(payload)?),
        }
    }
}

/// `join room`.
#[derive(Clone, Debug)]
pub struct Join {
    /// Which room, who.
    pub place: Place,
    /// Only what came after this, instead of the newest.
    pub since: Option<Seq>,
    /// Is nobody told that somebody came? For clients that only follow what is said.
    pub quiet: bool,
}

impl Join {
    /// `{roomId, user, since?, quiet?}` or the bare id.
    pub fn parse(payload: &Value) -> Result<Self> {
        let since = match payload {
            Value::Object(_) => Fields::of(payload)?.optional_seq("since")?,
            _ => None,
        };
        let quiet = match payload.get("quiet") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(quiet)) => *quiet,
            Some(_) => return Err(ChatError::invalid_payload("`quiet` must be true or false")),
        };
        Ok(Self { place: Place::of(payload)?, since, quiet })
    }
}

/// `chat message`.
#[derive(Clone, Debug)]
pub struct Say {
    /// Which room, who.
    pub place: Place,
    /// What.
    pub text: MessageText,
    /// Makes a retry harmless.
    pub client_id: Option<ClientId>,
}

impl Say {
    /// `{roomId, user, text, clientId?}`.
    pub fn parse(payload: &Value, limits: &Limits) -> Result<Self> {
        let fields = Fields::of(payload)?;
        Ok(Self {
            place: Place::parse(fields)?,
            text: MessageText::parse(fields.text("text")?, limits)?,
            client_id: fields.optional_text("clientId")?.map(ClientId::parse).transpose()?,
        })
    }
}

/// `create room`: `{name}`.
pub fn parse_room_name(payload: &Value) -> Result<Title> {
    Title::parse(Fields::of(payload)?.text("name")?)
}

/// The payload's name must be the authenticated user's, in any letter case.
pub fn same_user(caller: &Caller, claimed: Option<&Username>) -> Result<()> {
    match claimed {
        Some(name) if !name.same_as(caller.name()) => Err(ChatError::new(
            Code::IdentityMismatch,
            format!("`user` is not the name that you go by here: {}", caller.name()),
        )),
        _ => Ok(()),
    }
}

/// No room bears that id, or none that this protocol may show.
#[must_use]
pub fn unknown_room() -> ChatError {
    ChatError::new(Code::NotFound, "`roomId` names no room")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bare_id_joins_like_an_object() {
        let bare = Join::parse(&json!("lobby")).expect("fine");
        let full =
            Join::parse(&json!({"roomId": "lobby", "user": "alice", "since": 3})).expect("fine");
        assert_eq!((bare.place.room, bare.since), (ConversationId::LOBBY, None));
        assert_eq!((full.place.room, full.since), (ConversationId::LOBBY, Some(Seq(3))));
    }

    #[test]
    fn each_bad_field_of_a_message_is_told_by_its_own_code() {
        let say = |payload| Say::parse(&payload, &Limits::default()).expect_err("refused").code();
        assert_eq!(say(json!({"text": "hi"})), Code::InvalidPayload);
        assert_eq!(say(json!({"roomId": "nowhere", "text": "hi"})), Code::NotFound);
        assert_eq!(say(json!({"roomId": "lobby", "text": " "})), Code::Empty);
        assert_eq!(say(json!({"roomId": "lobby", "text": "x".repeat(4_001)})), Code::TextTooLong);
        assert_eq!(
            say(json!({"roomId": "lobby", "text": "hi", "user": "a b"})),
            Code::InvalidUsername
        );
        assert_eq!(
            say(json!({"roomId": "lobby", "text": "hi", "clientId": ""})),
            Code::InvalidClientId
        );
    }
}
