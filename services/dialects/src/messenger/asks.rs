//! What 003's clients send, read field by field.

use chat_core::{
    ChatError, ClientId, Code, Limits, MessageId, MessageText, Result, Username,
    chat::DIRECTS_MAX,
    model::{MEDIA_MAX, Span},
};
use serde_json::Value;

use crate::payload::Fields;

/// Chats in a page, if the client does not say, and the most of them.
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 100;

/// `{user}`: whom it is about.
pub fn user_of(payload: &Value) -> Result<Username> {
    Username::parse(Fields::of(payload)?.text("user")?)
}

/// `{id}`: which chat. Ids are numbers; as strings they are taken too.
pub fn chat_of(payload: &Value) -> Result<MessageId> {
    Fields::of(payload)?
        .optional_message("id")?
        .ok_or_else(|| ChatError::invalid_payload("`id` is missing: a chat's id"))
}

/// How many are wanted: a positive whole number, cut to `most`.
fn limit(payload: &Value, default: u32, most: u32) -> Result<u32> {
    match payload.get("limit") {
        None | Some(Value::Null) => Ok(default),
        Some(wanted) => match wanted.as_u64() {
            Some(wanted @ 1..) => Ok(u32::try_from(wanted).map_or(most, |wanted| wanted.min(most))),
            _ => Err(ChatError::invalid_payload("`limit` must be a positive whole number")),
        },
    }
}

/// `fetch-users`.
#[derive(Clone, Debug)]
pub struct FetchUsers {
    /// A former page's `next`.
    pub after: Option<Username>,
    /// How many.
    pub limit: u32,
}

impl FetchUsers {
    /// `{limit?, after?}`, or nothing at all.
    pub fn parse(payload: &Value) -> Result<Self> {
        if payload.is_null() {
            return Ok(Self { after: None, limit: DIRECTS_MAX });
        }
        let after =
            Fields::of(payload)?.optional_text("after")?.map(Username::parse).transpose()?;
        Ok(Self { after, limit: limit(payload, DIRECTS_MAX, DIRECTS_MAX)? })
    }
}

/// `fetch-conversation-with-user`.
#[derive(Clone, Debug)]
pub struct FetchChats {
    /// With whom.
    pub user: Username,
    /// Which part.
    pub span: Span,
    /// How many.
    pub limit: u32,
}

impl FetchChats {
    /// `{user, limit?, before?, after?}`.
    pub fn parse(payload: &Value) -> Result<Self> {
        let user = user_of(payload)?;
        let fields = Fields::of(payload)?;
        let page = (fields.optional_message("before")?, fields.optional_message("after")?);
        let span = match page {
            (None, None) => Span::Newest,
            (Some(id), None) => Span::Before(id),
            (None, Some(id)) => Span::After(id),
            (Some(_), Some(_)) => {
                return Err(ChatError::invalid_payload("give `before` or `after`, not both"));
            }
        };
        Ok(Self { user, span, limit: limit(payload, PAGE, PAGE_MAX)? })
    }
}

/// `send-message`.
#[derive(Clone, Debug)]
pub struct Send {
    /// To whom.
    pub user: Username,
    /// What.
    pub text: MessageText,
    /// URLs that uploads returned.
    pub media: Vec<String>,
    /// Makes a retry harmless.
    pub client_id: Option<ClientId>,
}

impl Send {
    /// `{message, user, media?, clientId?}`.
    pub fn parse(payload: &Value, limits: &Limits) -> Result<Self> {
        let fields = Fields::of(payload)?;
        Ok(Self {
            user: Username::parse(fields.text("user")?)?,
            text: MessageText::parse(fields.text("message")?, limits)?,
            media: media(payload.get("media"))?,
            client_id: fields.optional_text("clientId")?.map(ClientId::parse).transpose()?,
        })
    }
}

fn media(given: Option<&Value>) -> Result<Vec<String>> {
    let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(Vec::new()) };
    let urls = given.as_array().ok_or_else(|| {
        ChatError::invalid_payload("`media` must be an array of the URLs that uploads returned")
    })?;
    if urls.len() > MEDIA_MAX {
        let rule = format!("a chat carries at most {MEDIA_MAX} media");
        return Err(ChatError::new(Code::InvalidMedia, rule));
    }
    let texts = urls.iter().map(|url| url.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(|| {
        ChatError::new(Code::InvalidMedia, "a medium is a URL that an upload returned")
    })
}

/// `edit-chat`: `{id, message}`.
pub fn edit_of(payload: &Value, limits: &Limits) -> Result<(MessageId, MessageText)> {
    let id = chat_of(payload)?;
    Ok((id, MessageText::parse(Fields::of(payload)?.text("message")?, limits)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
        result.expect_err("refused").code()
    }

    #[test]
    fn ids_are_taken_as_numbers_and_as_strings() {
        for id in [json!({"id": 7}), json!({"id": "7"})] {
            assert_eq!(chat_of(&id).expect("an id"), MessageId(7));
        }
        for bad in [json!({}), json!({"id": null}), json!({"id": [7]}), json!("7"), json!(null)] {
            assert_eq!(code(chat_of(&bad)), Code::InvalidPayload, "{bad}");
        }
        for nowhere in
            [json!({"id": -7}), json!({"id": 1.5}), json!({"id": "x"}), json!({"id": 1e300})]
        {
            assert_eq!(code(chat_of(&nowhere)), Code::NotFound, "{nowhere}");
        }
    }

    #[test]
    fn a_page_has_at_most_100_chats_and_one_end() {
        let page = |more: Value| {
            let mut payload = json!({"user": "bob"});
            payload
                .as_object_mut()
                .expect("an object")
                .extend(more.as_object().cloned().unwrap_or_default());
            FetchChats::parse(&payload)
        };
        assert_eq!(page(json!({})).expect("fine").limit, 50);
        assert_eq!(page(json!({"limit": 1e3 as u64})).expect("fine").limit, 100);
        assert_eq!(page(json!({"before": "9"})).expect("fine").span, Span::Before(MessageId(9)));
        for bad in [
            json!({"limit": 0}),
            json!({"limit": "5"}),
            json!({"limit": -1}),
            json!({"before": 1, "after": 2}),
        ] {
            assert_eq!(code(page(bad.clone())), Code::InvalidPayload, "{bad}");
        }
    }

    #[test]
    fn media_are_at_most_four_urls() {
        let send = |media: Value| {
            let payload = json!({"user": "bob", "message": "hi", "media": media});
            Send::parse(&payload, &Limits::default()).map(|send| send.media.len())
        };
        assert_eq!(send(json!(null)).expect("fine"), 0);
        assert_eq!(send(json!(["/media/a"])).expect("fine"), 1);
        assert_eq!(code(send(json!("/media/a"))), Code::InvalidPayload);
        assert_eq!(code(send(json!([1]))), Code::InvalidMedia);
        assert_eq!(code(send(json!(["", "", "", "", ""]))), Code::InvalidMedia);
    }
}
