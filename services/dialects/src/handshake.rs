//! Who opens a socket: by token, or by the session cookie where the page may use it.

use axum::http::HeaderMap;
use chat_core::{ChatError, Code, Credential, Result, Session};

use crate::{origin, rest::credentials, socket::Ports};

/// The session that a socket comes with. A token counts alone; without one the cookie or the
/// `Authorization` header does. `None`: it came with nothing that is alive.
///
/// Fails with `invalid_token` for a bad token, `forbidden` if a foreign page would use the cookie, or
/// what else a browser adds by itself.
pub async fn session(
    ports: &Ports,
    token: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<Session>> {
    if let Some(token) = token {
        return ports.chat.authenticate(Credential::Token(token.into())).await.map(Some);
    }
    let cookie = credentials::from_cookie(headers);
    let is_ambient = cookie.is_some() || credentials::is_by_browser(headers);
    if is_ambient && !origin::is_allowed(headers, &ports.origins) {
        return Err(ChatError::new(Code::Forbidden, "pages of this origin may not connect"));
    }
    let shown = cookie.into_iter().chain(credentials::from_authorization(headers));
    match credentials::first_live(&*ports.chat, shown).await {
        Ok(session) => Ok(Some(session)),
        Err(error) if error.code().http() == 401 => Ok(None),
        Err(error) => Err(error),
    }
}
