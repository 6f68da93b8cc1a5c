//! Reading what a client sent, field by field, with a refusal that names the field.

use chat_core::{ChatError, Code, MessageId, Result, Seq, Username};
use serde_json::{Map, Value};

/// The fields of one event's payload.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The payload must be an object.
    pub fn of(payload: &'a Value) -> Result<Self> {
        match payload {
            Value::Object(fields) => Ok(Self(fields)),
            other => {
                let kind = kind(other);
                Err(ChatError::invalid_payload(format!(
                    "the payload must be an object, not {kind}"
                )))
            }
        }
    }

    /// A string that must be there.
    pub fn text(self, name: &'static str) -> Result<&'a str> {
        self.optional_text(name)?
            .ok_or_else(|| ChatError::invalid_payload(format!("`{name}` is missing")))
    }

    /// A string that may be absent or null.
    pub fn optional_text(self, name: &'static str) -> Result<Option<&'a str>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                let kind = kind(other);
                Err(ChatError::invalid_payload(format!("`{name}` must be a string, not {kind}")))
            }
        }
    }

    /// A message's id that may be absent or null. Ids are numbers; as strings they are taken too.
    pub fn optional_message(self, name: &'static str) -> Result<Option<MessageId>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(id)) => id.parse().map(Some),
            Some(Value::Number(id)) => id.to_string().parse().map(Some),
            Some(other) => {
                let kind = kind(other);
                Err(ChatError::invalid_payload(format!(
                    "`{name}` must be a message's id, not {kind}"
                )))
            }
        }
    }

    /// A `seq` that may be absent or null.
    pub fn optional_seq(self, name: &'static str) -> Result<Option<Seq>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|&seq| i64::try_from(seq).is_ok()) {
                Some(seq) => Ok(Some(Seq(seq))),
                None => Err(ChatError::invalid_payload(format!(
                    "`{name}` must be a whole number, 0 or more"
                ))),
            },
        }
    }
}

/// Refuses a payload that names somebody else as its author in one of these fields.
pub fn speaks_for(me: &Username, payload: &Value, fields: &[&str]) -> Result<()> {
    let is_me =
        |named: &Value| named.as_str().is_some_and(|name| name.eq_ignore_ascii_case(me.as_str()));
    for field in fields {
        match payload.get(field) {
            None | Some(Value::Null) => {}
            Some(named) if is_me(named) => {}
            Some(_) => {
                let sentence = format!("`{field}` is not the name that you go by here: {me}");
                return Err(ChatError::new(Code::IdentityMismatch, sentence));
            }
        }
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sentence<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.expect_err("refused").message().to_owned()
    }

    #[test]
    fn nobody_speaks_for_somebody_else() {
        let me = Username::parse("Alice").expect("a name");
        let check = |payload| speaks_for(&me, &payload, &["user", "author"]);
        assert!(check(json!({"user": "alice", "author": null})).is_ok());
        assert!(check(json!("just text")).is_ok());
        for other in [json!({"user": "bob"}), json!({"author": 7})] {
            assert_eq!(check(other).expect_err("refused").code(), Code::IdentityMismatch);
        }
    }

    #[test]
    fn a_refusal_names_the_field_and_what_it_was() {
        let payload = json!({"text": 7, "since": -1, "user": null});
        let fields = Fields::of(&payload).expect("an object");
        assert_eq!(sentence(fields.text("text")), "`text` must be a string, not a number");
        assert_eq!(sentence(fields.text("roomId")), "`roomId` is missing");
        assert_eq!(sentence(fields.text("user")), "`user` is missing");
        assert!(sentence(fields.optional_seq("since")).contains("`since`"));
        assert!(sentence(Fields::of(&json!([]))).contains("an array"));
    }
}
