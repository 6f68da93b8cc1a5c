//! 002's pages: plain HTML, without scripts, styles or anything from elsewhere.

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use chat_core::{ChatError, Code, User};

use crate::rest::answer;

/// Which of the two forms.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Register,
    LogIn,
}

impl Form {
    /// Action, title, hint for password managers, the other form's action and invitation.
    const fn words(self) -> [&'static str; 5] {
        match self {
            Self::Register => {
                ["/register", "Register", "new-password", "/login", "I have an account"]
            }
            Self::LogIn => ["/login", "Log in", "current-password", "/register", "I am new here"],
        }
    }

    /// The empty form.
    pub(super) fn page(self) -> Response {
        self.render("", "")
    }

    /// The form again, with the reason and the name that was typed.
    pub(super) fn again(self, error: &ChatError, name: &str) -> Response {
        let reason = format!("<p role=\"alert\">{}</p>\n", escape(error.message()));
        with_status(error.code(), self.render(&reason, name))
    }

    fn render(self, reason: &str, name: &str) -> Response {
        let [action, title, hint, other, invitation] = self.words();
        let name = escape(name);
        page(
            title,
            &format!(
                "{reason}<form method=\"post\" action=\"{action}\">\n\
                 <p><label>User name <input name=\"username\" value=\"{name}\" required \
                 minlength=\"2\" maxlength=\"32\" autocomplete=\"username\"></label></p>\n\
                 <p><label>Password <input name=\"password\" type=\"password\" required \
                 autocomplete=\"{hint}\"></label></p>\n\
                 <p><button>{title}</button></p>\n</form>\n\
                 <p><a href=\"{other}\">{invitation}</a></p>\n"
            ),
        )
    }
}

/// The page of somebody who is logged in.
pub(super) fn io(user: &User) -> Response {
    let name = escape(user.name.as_str());
    page(
        "One to one",
        &format!(
            "<p>You are logged in as <strong>{name}</strong>. A client that connects to \
             <code>/socket.io</code> with this session finds you there.</p>\n\
             <form method=\"post\" action=\"/logout\">\n<p><button>Log out</button></p>\n</form>\n"
        ),
    )
}

/// A page that could not be made.
pub(super) fn failed(error: &ChatError) -> Response {
    let reason = format!("<p role=\"alert\">{}</p>\n", escape(error.message()));
    with_status(error.code(), page("One to one", &reason))
}

fn with_status(code: Code, page: Response) -> Response {
    (StatusCode::from_u16(code.http()).unwrap_or(StatusCode::BAD_REQUEST), page).into_response()
}

fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n</head>\n\
         <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    );
    let mut response = Html(html).into_response();
    let policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    answer::header(&mut response, "content-security-policy", policy);
    answer::header(&mut response, "x-content-type-options", "nosniff");
    answer::header(&mut response, "referrer-policy", "same-origin");
    response
}

/// Text as HTML that shows exactly it, between tags and between quotes.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
        html
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_typed_becomes_markup() {
        assert_eq!(
            escape(r#"<b title="x">&'</b>"#),
            "&lt;b title=&quot;x&quot;&gt;&amp;&#39;&lt;/b&gt;"
        );
    }
}
