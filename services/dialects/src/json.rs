//! JSON that strangers send, read into no more memory than a few times its own length: without a
//! bound, each `{"":0}` of 7 bytes takes more than 600.

use std::{cell::Cell, fmt};

use chat_core::{ChatError, Result};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, error::Category};

/// What all values in one text may weigh together: no protocol's largest takes a tenth of it.
const WEIGHT: usize = 1_024;

/// What values weigh: an object has room for some fields at once.
const VALUE: usize = 1;
const OBJECT: usize = 16;

/// A value of bounded weight.
#[derive(Clone, Debug, Default)]
pub struct Bounded(pub Value);

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        Part { left: &Cell::new(WEIGHT) }.deserialize(from).map(Self)
    }
}

/// The JSON in a text; `what` names the text in the refusal. The refusal names a place and a rule,
/// never what stood there: it may have been a password.
pub fn read(text: &str, what: &str) -> Result<Value> {
    let Bounded(value) = serde_json::from_str(text).map_err(|cause| {
        ChatError::invalid_payload(match cause.classify() {
            Category::Data => format!("{what} has too many fields and values"),
            _ => format!("{what} is not JSON: {cause}"),
        })
    })?;
    Ok(value)
}

/// One value in a text.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// What may still be taken in.
    left: &'a Cell<usize>,
}

impl Part<'_> {
    fn weighs<E: Error>(self, weight: usize) -> std::result::Result<(), E> {
        let left = self.left.get().checked_sub(weight);
        self.left.set(left.ok_or_else(|| E::custom("too many fields and values"))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<Value, D::Error> {
        self.weighs(VALUE)?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> std::result::Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> std::result::Result<Value, A::Error> {
        self.weighs(OBJECT)?;
        let mut fields = Map::new();
        while let Some(name) = from.next_key()? {
            fields.insert(name, from.next_value_seed(self)?);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_serde_reads() {
        for text in [
            r#"{"a": [1, -1, 1.5, 18446744073709551615, true, null, "\u00e9"], "b": {}, "b": []}"#,
            "null",
            "\"x\"",
            "-0",
        ] {
            let expected: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(read(text, "it").expect("read"), expected);
        }
    }

    #[test]
    fn many_values_are_not_taken_in_however_they_are_nested() {
        let sentence = |text: &str| read(text, "the body").expect_err("refused").to_string();
        for part in [r#"{"":0},"#, "[],", "0,", r#"{"a":{"b":{}}},"#, "\"\","] {
            let all = part.repeat(2_000);
            let all = all.trim_end_matches(',');
            for text in [format!("[{all}]"), format!(r#"{{"x":[{all}]}}"#)] {
                assert!(sentence(&text).contains("too many fields and values"), "{part}");
            }
        }
        let fields: Vec<_> = (0..2_000).map(|n| format!(r#""{n}":0"#)).collect();
        assert!(sentence(&format!("{{{}}}", fields.join(","))).contains("too many"));
    }

    #[test]
    fn long_texts_and_lists_of_some_length_are_fine() {
        let text = "x".repeat(60_000);
        let list = vec!["0"; 1_000].join(",");
        for text in [format!(r#"{{"text":"{text}"}}"#), format!("[{list}]")] {
            read(&text, "it").expect("read");
        }
    }
}
