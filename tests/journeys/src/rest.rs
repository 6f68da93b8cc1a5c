//! A REST client that hides nothing: status, headers and body of every answer, and no cookies but
//! those that a test sends.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
};

use reqwest::{Client, Method, header::HeaderMap};
use serde_json::{Value, json};

/// One origin that serves REST.
#[derive(Clone, Debug)]
pub struct Site {
    base: String,
    client: Client,
}

impl Site {
    /// The site at a base URL without a slash at its end.
    #[must_use]
    pub fn at(base: impl Into<String>) -> Self {
        Self { base: base.into(), client: Client::new() }
    }

    /// A request; await it to send it.
    pub fn ask(&self, method: &str, path: &str) -> Ask {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Ask(self.client.request(method, format!("{}{path}", self.base)))
    }

    /// A GET request.
    pub fn get(&self, path: &str) -> Ask {
        self.ask("GET", path)
    }

    /// A POST request.
    pub fn post(&self, path: &str) -> Ask {
        self.ask("POST", path)
    }

    /// A DELETE request.
    pub fn delete(&self, path: &str) -> Ask {
        self.ask("DELETE", path)
    }

    /// Registers somebody new, with [`PASSWORD`]; the name begins with `stem`.
    pub async fn newcomer(&self, stem: &str) -> Person {
        let name = unique(stem);
        let account = json!({"username": name, "password": PASSWORD});
        let answer = self.post("/register").json(&account).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.person()
    }

    /// Somebody makes a conversation, whose title begins with `stem`; answers its URL.
    pub async fn topic(&self, maker: &Person, stem: &str) -> String {
        let title = json!({"title": unique(stem)});
        let answer = self.post("/api/conversations/").cookie(&maker.cookie).json(&title).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text_of("url")
    }

    /// Somebody posts in the conversation at a URL; answers the message's URL.
    pub async fn says(&self, who: &Person, conversation: &str, text: &str) -> String {
        let answer = self.post(conversation).cookie(&who.cookie).json(&json!({"text": text})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text_of("url")
    }

    /// The texts that somebody reads at a conversation's URL.
    pub async fn texts(&self, reader: &Person, conversation: &str) -> Vec<String> {
        let path = format!("{conversation}?N=1000");
        let answer = self.get(&path).cookie(&reader.cookie).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let messages = answer.json["messages"].as_array().expect("an array");
        messages.iter().map(|row| row["text"].as_str().expect("a text").to_owned()).collect()
    }
}

/// Everybody's password.
pub const PASSWORD: &str = "correct horse";

/// Somebody with an account and one session.
#[derive(Clone, Debug)]
pub struct Person {
    /// As registered.
    pub name: String,
    /// The session cookie's value.
    pub cookie: String,
    /// The token tied to the same session.
    pub token: String,
}

/// A name that nobody else has: the stem, and a number.
#[must_use]
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A request that has not been sent.
#[derive(Debug)]
#[must_use = "a request is sent when it is awaited"]
pub struct Ask(reqwest::RequestBuilder);

impl Ask {
    /// With a header.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self(self.0.header(name, value.as_ref()))
    }

    /// With a session cookie.
    pub fn cookie(self, secret: &str) -> Self {
        self.header("cookie", format!("session={secret}"))
    }

    /// With a token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// With a body of any kind, and no Content-Type.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.body(body.into()))
    }
}

impl IntoFuture for Ask {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let response = self.0.send().await.expect("the request is answered");
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.expect("the answer is text");
            let json = serde_json::from_str(&text).unwrap_or(Value::Null);
            Answer { status, headers, text, json }
        })
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

impl Answer {
    /// It must have this status and exactly this JSON.
    #[track_caller]
    pub fn is(&self, status: u16, json: Value) {
        assert_eq!((self.status, &self.json), (status, &json), "{}", self.text);
    }

    /// A header, if it is there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// The session cookie that it sets, if it does.
    #[must_use]
    pub fn cookie(&self) -> Option<String> {
        let pair = self.header("set-cookie")?.split(';').next()?;
        pair.strip_prefix("session=").map(str::to_owned)
    }

    /// A string field of the body.
    #[must_use]
    pub fn text_of(&self, field: &str) -> String {
        self.json[field]
            .as_str()
            .unwrap_or_else(|| panic!("no `{field}` in {}", self.text))
            .to_owned()
    }

    /// The names of the body's fields, sorted.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        fields(&self.json)
    }

    /// Who got in by this answer of 002.
    #[must_use]
    pub fn person(&self) -> Person {
        Person {
            name: self.text_of("username"),
            cookie: self.cookie().expect("a session cookie"),
            token: self.text_of("token"),
        }
    }
}

/// The names of an object's fields, sorted.
#[must_use]
pub fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> =
        object.as_object().into_iter().flatten().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names
}

/// Is it `2025-01-02T11:00:00.000Z`?
#[must_use]
pub fn is_timestamp(value: &Value) -> bool {
    let like = "dddd-dd-ddTdd:dd:dd.dddZ";
    value.as_str().is_some_and(|text| {
        text.len() == like.len()
            && text.bytes().zip(like.bytes()).all(|(byte, like)| match like {
                b'd' => byte.is_ascii_digit(),
                other => byte == other,
            })
    })
}

/// Bodies that no route takes, each with a word of the reason that must be given.
#[must_use]
pub fn bad_bodies() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (b"".to_vec(), "empty"),
        (b"{".to_vec(), "JSON"),
        (b"username=alice&password=secret".to_vec(), "JSON"),
        (b"{\"a\": 1} trailing".to_vec(), "JSON"),
        (b"{\"username\": \"\\ud800\"}".to_vec(), "JSON"),
        (b"{\"username\": \"\xff\xfe\"}".to_vec(), "UTF-8"),
        (b"[".repeat(5_000), "JSON"),
        (b"[]".to_vec(), "object"),
        (b"null".to_vec(), "object"),
        (b"\"text\"".to_vec(), "object"),
        (b"{}".to_vec(), "missing"),
    ]
}
