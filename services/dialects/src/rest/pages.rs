//! The web client's pages, as far as the dialects answer with them. message-api has them.

use axum::response::Response;
use chat_core::ChatError;

/// Which of the two forms.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Makes an account.
    Register,
    /// Opens a session.
    LogIn,
}

/// Pages: whole answers in HTML, with their headers.
pub trait Pages: Send + Sync {
    /// The chat, for somebody who has a live session.
    fn chat(&self) -> Response;

    /// The form. After a refusal it has the reason, its status, and the name that was typed.
    fn form(&self, form: Form, name: &str, refused: Option<&ChatError>) -> Response;

    /// Asks whoever followed another site's link to log out whether they mean it: 403.
    fn ask_to_log_out(&self) -> Response;

    /// Instead of a page that could not be made: the reason, by its status.
    fn failed(&self, error: &ChatError) -> Response;
}
