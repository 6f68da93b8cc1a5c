//! The web client's pages. They are templates, checked when the program is compiled; what is put
//! into them is escaped.

use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode},
    response::{Html, IntoResponse, Response},
};
use chat_core::{ChatError, Code};
use dialects::rest::pages::{Form, Pages};

use super::Web;
use crate::http::refusal;

/// On every page. Scripts and styles are files of ours, and HTML is made by the purifier alone.
/// Attachments are ours too; `blob:` is for a preview before the upload.
const HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
         media-src 'self'; connect-src 'self'; font-src 'self'; manifest-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
         require-trusted-types-for 'script'; trusted-types dompurify",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "permissions-policy",
        "accelerometer=(), browsing-topics=(), camera=(), clipboard-read=(), \
         clipboard-write=(self), display-capture=(), geolocation=(), gyroscope=(), hid=(), \
         idle-detection=(), magnetometer=(), microphone=(), midi=(), payment=(), \
         publickey-credentials-get=(), serial=(), usb=(), xr-spatial-tracking=()",
    ),
    ("referrer-policy", "same-origin"),
];

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    base: &'a str,
}

#[derive(Template)]
#[template(path = "status.html")]
struct Status<'a> {
    base: &'a str,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LogIn<'a> {
    base: &'a str,
    reason: &'a str,
    name: &'a str,
}

#[derive(Template)]
#[template(path = "register.html")]
struct Register<'a> {
    base: &'a str,
    reason: &'a str,
    name: &'a str,
    password_min: usize,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    base: &'a str,
    reason: &'a str,
    may_log_out: bool,
}

impl Pages for Web {
    fn chat(&self) -> Response {
        match self.lack() {
            None => page(StatusCode::OK, &Index { base: &self.base }),
            Some(reason) => {
                let notice = Notice { base: &self.base, reason: &reason, may_log_out: true };
                page(StatusCode::OK, &notice)
            }
        }
    }

    fn form(&self, form: Form, name: &str, refused: Option<&ChatError>) -> Response {
        let status = refused.map_or(StatusCode::OK, status_of);
        let reason = refused.map_or("", ChatError::message);
        let base = &*self.base;
        match form {
            Form::LogIn => page(status, &LogIn { base, reason, name }),
            Form::Register => {
                let password_min = self.password_min;
                page(status, &Register { base, reason, name, password_min })
            }
        }
    }

    fn ask_to_log_out(&self) -> Response {
        let reason = "Another site sent you here to log out. Do you want to?";
        let notice = Notice { base: &self.base, reason, may_log_out: true };
        page(StatusCode::FORBIDDEN, &notice)
    }

    fn failed(&self, error: &ChatError) -> Response {
        let reason = error.message();
        page(status_of(error), &Notice { base: &self.base, reason, may_log_out: false })
    }
}

impl Web {
    /// What the replicas do, for whoever may see it: that is decided where the figures are asked.
    pub(super) fn status(&self) -> Response {
        page(StatusCode::OK, &Status { base: &self.base })
    }

    /// Instead of the chat, where nobody can log in.
    pub(super) fn unserved(&self) -> Response {
        let reason = self.lack().unwrap_or_default();
        let notice = Notice { base: &self.base, reason: &reason, may_log_out: false };
        page(StatusCode::NOT_FOUND, &notice)
    }

    /// Why this deployment has no chat on its pages, if it has none.
    fn lack(&self) -> Option<String> {
        (!self.missing.is_empty()).then(|| {
            let missing = self.missing.join(", ");
            format!("The web client is not served here: PROTOCOLS leaves out {missing}.")
        })
    }
}

fn status_of(error: &ChatError) -> StatusCode {
    StatusCode::from_u16(error.code().http()).unwrap_or(StatusCode::BAD_REQUEST)
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a page can't be made");
            return refusal(Code::Internal, "internal error");
        }
    };
    let mut response = (status, Html(html)).into_response();
    let headers = HEADERS
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    response.headers_mut().extend(headers);
    response
}
