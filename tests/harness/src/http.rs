//! An HTTP client that keeps cookies, and answers that explain themselves.

use std::{ops::Index, sync::Arc};

use anyhow::{Context, Result, bail};
use reqwest::{
    Method, RequestBuilder, Url,
    cookie::{CookieStore, Jar},
    header::HeaderMap,
    redirect,
};
use serde_json::{Value, json};

/// A browser of sorts: keeps cookies, follows no redirect. Make one for each test: it belongs to
/// the test's runtime.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    jar: Arc<Jar>,
    base: Url,
    token: Option<String>,
}

impl Http {
    /// Paths are relative to `base`, e.g. `http://127.0.0.1:3100`.
    pub fn at(base: &str) -> Result<Self> {
        let jar = Arc::new(Jar::default());
        let client = reqwest::Client::builder()
            .cookie_provider(Arc::clone(&jar))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, jar, base: base.parse().context("a bad URL")?, token: None })
    }

    /// Shows this token from now on.
    #[must_use]
    pub fn bearing(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The same cookies and token at another address.
    pub fn moved_to(&self, base: &str) -> Result<Self> {
        Ok(Self { base: base.parse().context("a bad URL")?, ..self.clone() })
    }

    /// The Cookie header that a socket of this browser would send; empty without cookies.
    #[must_use]
    pub fn cookie_header(&self) -> String {
        let cookies = self.jar.cookies(&self.base);
        cookies.and_then(|c| c.to_str().map(str::to_owned).ok()).unwrap_or_default()
    }

    /// A request for [`Self::send`], to add what the helpers do not.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let request = self.client.request(method, self.base.join(path).context("a bad path")?);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// Sends it and reads the answer, whatever its status.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let request = request.build()?;
        let what = format!("{} {}", request.method(), request.url().path());
        let response = self.client.execute(request).await.with_context(|| what.clone())?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.with_context(|| what.clone())?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { what, status, headers, text, json })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)?).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::DELETE, path)?).await
    }

    /// POST of JSON.
    pub async fn post_json(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.request(Method::POST, path)?.json(body)).await
    }

    /// POST as from an HTML form.
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        self.send(self.request(Method::POST, path)?.form(fields)).await
    }

    /// POST of anything.
    pub async fn post_raw(&self, path: &str, content_type: &str, body: &str) -> Result<Answer> {
        let request = self.request(Method::POST, path)?.header("content-type", content_type);
        self.send(request.body(body.to_owned())).await
    }

    /// Registers without a password (001); the session stays in the cookies.
    pub async fn register(&self, name: &str) -> Result<Answer> {
        self.post_json("/auth/register", &json!({ "username": name })).await
    }
}

/// An answer. Index it for a field of its JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    what: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
    /// The body, if it is JSON; else null.
    pub json: Value,
}

impl Answer {
    /// Fails with the whole answer unless the status is this one.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status != status {
            bail!("{} was answered by {}, not {status}: {}", self.what, self.status, self.text);
        }
        Ok(self)
    }

    /// A header's text; empty when it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.json[field]
    }
}
