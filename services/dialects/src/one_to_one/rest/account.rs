//! What somebody sends to register, log in or log out: JSON from programs, a form from a page. The
//! answer takes the same way back.

use std::convert::Infallible;

use axum::{
    extract::{Form, FromRequest, Request, rejection::FormRejection},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Redirect, Response},
};
use chat_core::{ChatError, Code, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::Refusal;
use crate::rest::{
    RestState, answer,
    body::Body,
    pages::{Form as PageForm, Pages},
};

/// What is read of a form; whatever else is in it is passed over.
#[derive(Default, Deserialize)]
pub(super) struct Fields {
    username: Option<String>,
    password: Option<String>,
}

/// An account's fields as they came.
pub(super) enum Given {
    /// By a program.
    Json(Body),
    /// By a page's form.
    Form(Result<Fields>),
    /// In a way that is not taken.
    Unsupported,
}

impl<S: Send + Sync> FromRequest<S> for Given {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        Ok(match content_type(request.headers()).as_str() {
            FORM => {
                let form = Form::from_request(request, state).await;
                Self::Form(form.map(|Form(fields)| fields).map_err(|rejection| unread(&rejection)))
            }
            "multipart/form-data" => Self::Unsupported,
            _ => {
                let Ok(body) = Body::from_request(request, state).await;
                Self::Json(body)
            }
        })
    }
}

fn unread(rejection: &FormRejection) -> ChatError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ChatError::new(Code::PayloadTooLarge, "the form is larger than 8 KiB")
        }
        _ => ChatError::invalid_payload("the form can't be read, send it again"),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn content_type(headers: &HeaderMap) -> String {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = given.and_then(|given| given.split(';').next());
    kind.unwrap_or_default().trim().to_ascii_lowercase()
}

/// Does the request come from a page's form?
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    content_type(headers) == FORM
}

/// Does a browser fetch this ahead, in case that the visitor follows the link? Older ones say so in
/// their own headers.
pub(super) fn is_ahead(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| {
        let purpose = headers.get(*name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let purpose = purpose.to_ascii_lowercase();
        purpose.contains("prefetch") || purpose.contains("prerender") || purpose.contains("preview")
    })
}

/// How the answer goes back.
pub(super) enum Way {
    /// JSON.
    Program,
    /// HTML, with the name that was typed.
    Page(String),
}

impl Given {
    /// What `parse` makes of the fields, and the way back.
    pub(super) fn open<T>(self, parse: impl FnOnce(&Value) -> Result<T>) -> (Result<T>, Way) {
        match self {
            Self::Json(body) => (body.read(parse), Way::Program),
            Self::Form(Ok(Fields { username, password })) => {
                let name = username.clone().unwrap_or_default();
                let fields = json!({"username": username, "password": password});
                (parse(&fields), Way::Page(name))
            }
            Self::Form(Err(error)) => (Err(error), Way::Page(String::new())),
            Self::Unsupported => {
                let rule = "files are not taken here, send {\"username\", \"password\"} as JSON or \
                            as an URL-encoded form";
                (Err(ChatError::new(Code::UnsupportedMedia, rule)), Way::Program)
            }
        }
    }
}

impl Way {
    /// It worked.
    pub(super) fn entered(&self, body: impl IntoResponse) -> Response {
        match self {
            Self::Program => body.into_response(),
            Self::Page(_) => Redirect::to("/io").into_response(),
        }
    }

    /// It did not.
    pub(super) fn refused(&self, error: ChatError, form: PageForm, pages: &dyn Pages) -> Response {
        match self {
            Self::Program => Refusal::from(error).into_response(),
            Self::Page(name) => {
                let mut response = pages.form(form, name, Some(&error));
                if let Some(after) = error.retry_after() {
                    answer::retry_after(&mut response, after);
                }
                response
            }
        }
    }
}

/// The refusal of what a page of another origin asks, or of what is too much. Who looks at a page is
/// shown one: they may have followed a link.
pub(super) fn turned_away(state: &RestState, request: &Request, error: &ChatError) -> Response {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    if !accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        return Refusal::from(error.clone()).into_response();
    }
    match request.uri().path() {
        "/logout" if error.code() == Code::Forbidden => state.pages.ask_to_log_out(),
        _ => {
            let mut page = state.pages.failed(error);
            if let Some(after) = error.retry_after() {
                answer::retry_after(&mut page, after);
            }
            page
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_a_page_sends_is_a_form() {
        let is_form = |kind: &'static str| {
            is_form(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        assert!(is_form("Application/X-WWW-Form-Urlencoded; charset=utf-8"));
        for other in ["application/json", "text/plain", "", "application/x-www-form-urlencoded2"] {
            assert!(!is_form(other), "{other}");
        }
        assert!(!super::is_form(&HeaderMap::new()));
    }
}
