//! The JSON of 002's events: what its clients send and get.

use chat_core::{
    ChatError, ClientId, Code, Limits, Message, MessageText, Result, User, UserId, Username, clock,
    model::Peer,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::payload::Fields;

/// A user, in `storeUsername` and in rows of `chatHistory`.
#[derive(Clone, Debug, Serialize)]
pub struct UserRow<'a> {
    /// Their id, which `chatHistory` takes.
    pub id: u64,
    /// As first typed.
    pub username: &'a str,
}

impl<'a> From<&'a User> for UserRow<'a> {
    fn from(user: &'a User) -> Self {
        Self { id: user.id.0, username: user.name.as_str() }
    }
}

/// `storeUsername`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreUsername<'a> {
    /// Who this socket is.
    pub username: &'a str,
    /// Whom one may talk with.
    pub user_list: Vec<UserRow<'a>>,
}

/// A row of `chatHistory`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRow<'a> {
    /// The message's id.
    pub id: u64,
    /// The text exactly.
    pub msg: &'a str,
    /// Who wrote it.
    pub username: &'a str,
    /// ISO 8601, UTC, milliseconds.
    pub created_at: String,
    /// Who wrote it, once more.
    #[serde(rename = "User")]
    pub user: UserRow<'a>,
    /// URLs of what a client of another protocol attached.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub media: &'a [String],
}

impl<'a> From<&'a Message> for HistoryRow<'a> {
    fn from(message: &'a Message) -> Self {
        let username = message.author.name().as_str();
        // Only users write in a direct.
        let id = message.author.user().map_or(0, |user| user.id.0);
        Self {
            id: message.id.0,
            msg: &message.text,
            username,
            created_at: clock::iso(message.created_at),
            user: UserRow { id, username },
            media: &message.media,
        }
    }
}

/// `chatMessage`, to those who have the channel open.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatMessage<'a> {
    /// Who wrote it.
    pub username: &'a str,
    /// The text exactly.
    pub msg: &'a str,
    /// The message's id.
    pub id: u64,
    /// ISO 8601, UTC, milliseconds.
    pub created_at: String,
    /// URLs of what a client of another protocol attached.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub media: &'a [String],
}

impl<'a> From<&'a Message> for ChatMessage<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            username: message.author.name().as_str(),
            msg: &message.text,
            id: message.id.0,
            created_at: clock::iso(message.created_at),
            media: &message.media,
        }
    }
}

/// `chatHistory`, as asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose channel; `None`: the open one.
    pub peer: Option<Peer>,
    /// How many of the newest to skip.
    pub offset: u32,
    /// Oldest first, or as the published page asks, newest first.
    pub oldest_first: bool,
}

impl Ask {
    /// `{"user"}` or `{"id"}`, which counts if both are there; `offset?`, `pagination?`.
    pub fn parse(payload: &Value) -> Result<Self> {
        let fields = Fields::of(payload)?;
        let object = payload.as_object().map_or_else(Map::new, Clone::clone);
        let name = fields.optional_text("user")?.map(Username::parse).transpose();
        // A name that nobody can bear is borne by nobody.
        let name = name.map_err(|_| unknown_user())?;
        let id = object.get("id").filter(|id| !id.is_null()).map(user_id).transpose()?;
        let is_page = object
            .get("pagination")
            .is_some_and(|pagination| !pagination.is_null() && *pagination != Value::Bool(false));
        let oldest_first = id.is_none() && !is_page;
        let peer = id.map(Peer::Id).or(name.map(Peer::Name));
        Ok(Self { peer, offset: offset(object.get("offset"))?, oldest_first })
    }
}

/// A number, or as pages that read it from an attribute send it, a string of digits.
fn user_id(value: &Value) -> Result<UserId> {
    match value {
        Value::Number(number) => number.to_string().parse().map_err(|_| unknown_user()),
        Value::String(digits) => digits.parse().map_err(|_| unknown_user()),
        _ => Err(ChatError::invalid_payload("`id` must be a user's id")),
    }
}

fn offset(value: Option<&Value>) -> Result<u32> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(0) };
    // Beyond what a number of ours holds there is nothing either.
    let offset = value.as_u64().map(|offset| u32::try_from(offset).unwrap_or(u32::MAX));
    offset.ok_or_else(|| ChatError::invalid_payload("`offset` must be a whole number, 0 or more"))
}

fn unknown_user() -> ChatError {
    ChatError::new(Code::UnknownUser, "there is no such user")
}

/// `chatMessage`, as sent.
#[derive(Clone, Debug)]
pub struct Say {
    /// What.
    pub text: MessageText,
    /// Makes a retry harmless.
    pub client_id: Option<ClientId>,
}

impl Say {
    /// A string, or `{"msg", "clientId"?}`. Nothing at all is an empty message.
    pub fn parse(payload: &Value, limits: &Limits) -> Result<Self> {
        let (raw, client_id) = match payload {
            Value::Null => ("", None),
            Value::String(text) => (text.as_str(), None),
            Value::Object(object) => {
                let fields = Fields::of(payload)?;
                let is_empty = object.get("msg").is_some_and(Value::is_null);
                let raw = if is_empty { "" } else { fields.text("msg")? };
                (raw, fields.optional_text("clientId")?.map(ClientId::parse).transpose()?)
            }
            _ => return Err(ChatError::invalid_payload("a message is a string, or {\"msg\"}")),
        };
        Ok(Self { text: MessageText::parse(raw, limits)?, client_id })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn by_name_the_oldest_comes_first_by_id_or_as_a_page_the_newest() {
        let oldest_first = |payload| Ask::parse(&payload).expect("fine").oldest_first;
        assert!(oldest_first(json!({"user": "bob"})));
        assert!(oldest_first(json!({"offset": 10})));
        assert!(!oldest_first(json!({"id": 7})));
        assert!(!oldest_first(json!({"id": "7", "offset": 10})));
        assert!(!oldest_first(json!({"user": "bob", "pagination": true})));
    }

    #[test]
    fn what_names_no_channel_is_refused_by_its_own_code() {
        let code = |payload| Ask::parse(&payload).expect_err("refused").code();
        for payload in [
            json!("bob"),
            json!({"user": 7}),
            json!({"id": [7]}),
            json!({"user": "bob", "offset": -1}),
            json!({"user": "bob", "offset": "10"}),
        ] {
            assert_eq!(code(payload), Code::InvalidPayload);
        }
        for payload in [json!({"user": "no body"}), json!({"id": 1.5}), json!({"id": "x"})] {
            assert_eq!(code(payload), Code::UnknownUser);
        }
    }

    #[test]
    fn a_message_is_a_string_or_an_object_and_never_empty() {
        let say = |payload| Say::parse(&payload, &Limits::default());
        assert_eq!(say(json!("hi")).expect("fine").text.as_str(), "hi");
        let keyed = say(json!({"msg": "hi", "clientId": "k"})).expect("fine");
        assert_eq!(keyed.client_id.expect("a key").as_str(), "k");
        for empty in
            [json!(""), json!(" \n"), json!(null), json!({"msg": ""}), json!({"msg": null})]
        {
            assert_eq!(say(empty).expect_err("refused").code(), Code::Empty);
        }
        for bad in [json!(7), json!(["hi"]), json!({}), json!({"msg": 7})] {
            assert_eq!(say(bad).expect_err("refused").code(), Code::InvalidPayload);
        }
    }
}
