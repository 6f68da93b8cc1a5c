//! Reading what a client sent, field by field, with a refusal that names the field.

use chat_core::{ChatError, Result, Seq};
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
