//! The JSON of 000: what its clients send and get.

use chat_core::{
    Caller, Chat, ChatError, Code, Limits, Message, MessageText, Result, User, Username, clock,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A stored message, in `GET /api/v1/messages`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stored<'a> {
    /// Who wrote it.
    pub author: &'a str,
    /// The text exactly.
    pub content: &'a str,
    /// Its id.
    pub id: u64,
    /// When it was stored, in milliseconds since 1970.
    pub timestamp: i64,
    /// When it was last edited, in milliseconds since 1970; null while it never was.
    pub last_edited: Option<i64>,
}

impl<'a> From<&'a Message> for Stored<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            author: message.author.name().as_str(),
            content: &message.text,
            id: message.id.0,
            timestamp: clock::millis(message.created_at),
            last_edited: message.edited_at.map(clock::millis),
        }
    }
}

/// A lobby message of another protocol, as `broadcast:message`.
#[derive(Clone, Debug, Serialize)]
pub struct Broadcast<'a> {
    /// Its id.
    pub id: u64,
    /// Who wrote it.
    pub author: &'a str,
    /// The text exactly.
    pub content: &'a str,
    /// When it was stored, in milliseconds since 1970.
    pub timestamp: i64,
}

impl<'a> From<&'a Message> for Broadcast<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            id: message.id.0,
            author: message.author.name().as_str(),
            content: &message.text,
            timestamp: clock::millis(message.created_at),
        }
    }
}

/// What a client submits, by POST, by PATCH and by `send:message`.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The name that it claims.
    pub author: Option<Username>,
    /// What.
    pub content: MessageText,
}

impl Submission {
    /// `{author, content}`, the keys in any letter case, maybe within `{messageObject}`.
    pub fn parse(payload: &Value, limits: &Limits) -> Result<Self> {
        let outer = object(payload)?;
        let fields = match field(outer, "messageObject")? {
            None => outer,
            // Nobody may show one author to us and another to those who read it.
            Some(_) if field(outer, "author")?.or(field(outer, "content")?).is_some() => {
                return Err(ChatError::invalid_payload(
                    "`author` and `content` stand within `messageObject` or without it, not both",
                ));
            }
            Some(inner) => object(inner)?,
        };
        let content = text(fields, "content")?
            .ok_or_else(|| ChatError::invalid_payload("`content` is missing"))?;
        Ok(Self {
            author: text(fields, "author")?.map(Username::parse).transpose()?,
            content: MessageText::parse(content, limits)?,
        })
    }

    /// Who submits it: the session's user, whom the claimed name must not contradict, or else a
    /// guest by that name.
    pub async fn caller(&self, chat: &dyn Chat, user: Option<&User>) -> Result<Caller> {
        match (user, &self.author) {
            (Some(user), Some(name)) if !name.same_as(&user.name) => Err(ChatError::new(
                Code::IdentityMismatch,
                format!("`author` is not who you are logged in as: {}", user.name),
            )),
            (Some(user), _) => Ok(Caller::User(user.clone())),
            (None, Some(name)) => chat.admit_guest(name.clone()).await,
            (None, None) => Err(ChatError::invalid_payload("`author` is missing")),
        }
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().ok_or_else(|| ChatError::invalid_payload("a message must be an object"))
}

/// The one field of that name in whatever letter case; null counts as absent.
fn field<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a Value>> {
    let mut named = fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let found = named.next().map(|(_, value)| value);
    if named.next().is_some() {
        let rule = format!("`{name}` is there more than once");
        return Err(ChatError::invalid_payload(rule));
    }
    Ok(found.filter(|value| !value.is_null()))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>> {
    let Some(value) = field(fields, name)? else { return Ok(None) };
    let text = value.as_str();
    text.map(Some).ok_or_else(|| ChatError::invalid_payload(format!("`{name}` must be a string")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(payload: Value) -> Result<(Option<String>, String)> {
        Submission::parse(&payload, &Limits::default()).map(|submission| {
            let author = submission.author.map(|name| name.to_string());
            (author, submission.content.into_string())
        })
    }

    #[test]
    fn keys_count_in_any_letter_case_and_within_a_wrapper() {
        for payload in [
            json!({"author": "alice", "content": "hi"}),
            json!({"Author": "alice", "Content": "hi", "timestamp": 7}),
            json!({"AUTHOR": "alice", "cOntent": "hi", "messageObject": null}),
            json!({"messageObject": {"Author": "alice", "content": "hi"}}),
        ] {
            assert_eq!(parse(payload).expect("fine"), (Some("alice".into()), "hi".into()));
        }
    }

    #[test]
    fn two_authors_in_one_payload_are_none() {
        for payload in [
            json!({"author": "alice", "Author": "bob", "content": "hi"}),
            json!({"author": "bob", "messageObject": {"author": "alice", "content": "hi"}}),
        ] {
            assert_eq!(parse(payload).expect_err("refused").code(), Code::InvalidPayload);
        }
    }

    #[test]
    fn what_is_no_message_is_refused_by_its_own_code() {
        let code = |payload| parse(payload).expect_err("refused").code();
        for payload in
            [json!("hi"), json!([]), json!({"author": "alice"}), json!({"content": 7}), json!(null)]
        {
            assert_eq!(code(payload), Code::InvalidPayload);
        }
        assert_eq!(code(json!({"author": "a b", "content": "hi"})), Code::InvalidUsername);
        assert_eq!(code(json!({"author": "alice", "content": " "})), Code::Empty);
        assert_eq!(code(json!({"content": "x".repeat(4_001)})), Code::TextTooLong);
    }
}
