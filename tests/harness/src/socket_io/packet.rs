//! The text packets of Engine.IO 4 with Socket.IO 5 inside, written anew so that the tests do not
//! lean on the library that the gateway uses.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One text frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet {
    /// The server's greeting: `sid`, `pingInterval`, …
    Open(Value),
    /// The transport ends.
    Close,
    /// The server asks for a sign of life.
    Ping,
    /// The sign of life.
    Pong,
    /// Nothing.
    Noop,
    /// Into a namespace: `auth` on the way there, `{"sid"}` on the way back.
    Connect(String, Option<Value>),
    /// Out of a namespace.
    Disconnect(String),
    /// An event, with the number of the acknowledgement that it asks for.
    Event(String, Option<u64>, Vec<Value>),
    /// The acknowledgement of that number.
    Ack(String, u64, Vec<Value>),
    /// Not into that namespace.
    ConnectError(String, Value),
}

impl Packet {
    /// Reads a frame.
    pub fn parse(frame: &str) -> Result<Self> {
        let (kind, rest) = split_kind(frame)?;
        Ok(match kind {
            '0' => Self::Open(serde_json::from_str(rest)?),
            '1' => Self::Close,
            '2' => Self::Ping,
            '3' => Self::Pong,
            '4' => return Self::parse_message(rest),
            '6' => Self::Noop,
            other => bail!("Engine.IO has no packet {other:?}: {frame}"),
        })
    }

    fn parse_message(message: &str) -> Result<Self> {
        let (kind, rest) = split_kind(message)?;
        let (namespace, rest) = match rest.starts_with('/') {
            true => rest.split_once(',').unwrap_or((rest, "")),
            false => ("/", rest),
        };
        let namespace = namespace.to_owned();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (id, data) = rest.split_at(digits);
        let id = if id.is_empty() { None } else { Some(id.parse()?) };
        let json = || serde_json::from_str(data).with_context(|| format!("not JSON: {data}"));
        let args = || serde_json::from_str(data).with_context(|| format!("no arguments: {data}"));
        Ok(match kind {
            '0' if data.is_empty() => Self::Connect(namespace, None),
            '0' => Self::Connect(namespace, Some(json()?)),
            '1' => Self::Disconnect(namespace),
            '2' => Self::Event(namespace, id, args()?),
            '3' => Self::Ack(namespace, id.context("an acknowledgement of nothing")?, args()?),
            '4' => Self::ConnectError(namespace, json()?),
            other => bail!("Socket.IO has no packet {other:?} without binary data: {message}"),
        })
    }

    /// Writes the frame.
    #[must_use]
    pub fn encode(&self) -> String {
        let json = |args: &Vec<Value>| Value::from(args.clone()).to_string();
        match self {
            Self::Open(data) => format!("0{data}"),
            Self::Close => "1".to_owned(),
            Self::Ping => "2".to_owned(),
            Self::Pong => "3".to_owned(),
            Self::Noop => "6".to_owned(),
            Self::Connect(namespace, None) => message('0', namespace, None, ""),
            Self::Connect(namespace, Some(data)) => {
                message('0', namespace, None, &data.to_string())
            }
            Self::Disconnect(namespace) => message('1', namespace, None, ""),
            Self::Event(namespace, id, args) => message('2', namespace, *id, &json(args)),
            Self::Ack(namespace, id, args) => message('3', namespace, Some(*id), &json(args)),
            Self::ConnectError(namespace, data) => message('4', namespace, None, &data.to_string()),
        }
    }
}

fn message(kind: char, namespace: &str, id: Option<u64>, data: &str) -> String {
    let namespace = match namespace {
        "/" => String::new(),
        named => format!("{named},"),
    };
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    format!("4{kind}{namespace}{id}{data}")
}

fn split_kind(frame: &str) -> Result<(char, &str)> {
    let kind = frame.chars().next().context("an empty packet")?;
    Ok((kind, &frame[kind.len_utf8()..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn both_ways(frame: &str, packet: &Packet) {
        assert_eq!(Packet::parse(frame).unwrap(), *packet);
        assert_eq!(packet.encode(), frame);
    }

    #[test]
    fn engine_io_packets() {
        both_ways(r#"0{"sid":"x"}"#, &Packet::Open(json!({"sid": "x"})));
        both_ways("1", &Packet::Close);
        both_ways("2", &Packet::Ping);
        both_ways("3", &Packet::Pong);
        both_ways("6", &Packet::Noop);
    }

    #[test]
    fn packets_of_the_default_namespace() {
        let root = || "/".to_owned();
        both_ways("40", &Packet::Connect(root(), None));
        both_ways(r#"40{"token":"t"}"#, &Packet::Connect(root(), Some(json!({"token": "t"}))));
        both_ways("41", &Packet::Disconnect(root()));
        both_ways(r#"42["hi",1]"#, &Packet::Event(root(), None, vec![json!("hi"), json!(1)]));
        both_ways(r#"4212["hi"]"#, &Packet::Event(root(), Some(12), vec![json!("hi")]));
        both_ways(r#"4312[{"a":1}]"#, &Packet::Ack(root(), 12, vec![json!({"a": 1})]));
        let error = json!({"message": "no"});
        both_ways(r#"44{"message":"no"}"#, &Packet::ConnectError(root(), error));
    }

    #[test]
    fn packets_of_a_named_namespace() {
        let chat = || "/chat".to_owned();
        both_ways("40/chat,", &Packet::Connect(chat(), None));
        both_ways(r#"42/chat,7["a/b,c"]"#, &Packet::Event(chat(), Some(7), vec![json!("a/b,c")]));
        assert_eq!(Packet::parse("41/chat").unwrap(), Packet::Disconnect(chat()));
    }

    #[test]
    fn nonsense_is_an_error() {
        for frame in ["", "9", "4", "42", "42{}", "43[1]", "451-[1]", "42[1", "é"] {
            assert!(Packet::parse(frame).is_err(), "{frame}");
        }
    }
}
