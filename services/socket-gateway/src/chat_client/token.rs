//! What the gateway shows message-api: the service token, which may change while it runs.

use std::sync::{Arc, PoisonError, RwLock};

use chat_core::process::{ServiceToken, Shutdown, follow_file};
use secrecy::{ExposeSecret, SecretString};
use switchboard_proto::AUTHORIZATION;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use super::spans;

/// A token, as it is shown.
pub(super) type Bearer = MetadataValue<Ascii>;

/// The service token, added to each call. Clones share it.
///
/// While it is rotated there are two, and a message-api that has not read its file again knows but
/// the old one: then the other is shown, from then on.
#[derive(Clone, Debug)]
pub(super) struct Token(Arc<RwLock<Tokens>>);

#[derive(Debug)]
struct Tokens {
    bearers: Vec<Bearer>,
    shown: usize,
}

impl Token {
    /// The error is one sentence that names the setting.
    pub(super) fn new(token: &ServiceToken) -> Result<Self, String> {
        let bearers = bearers(&token.tokens)?;
        Ok(Self(Arc::new(RwLock::new(Tokens { bearers, shown: 0 }))))
    }

    /// Begins to read the file again whenever it changes.
    pub(super) fn follow(&self, token: &ServiceToken, tasks: &Shutdown) {
        let Some((path, text)) = token.file.clone() else { return };
        let own = self.clone();
        let take = move |text: &str| {
            let bearers = bearers(&ServiceToken::parse_file(text)?)?;
            *own.0.write().unwrap_or_else(PoisonError::into_inner) = Tokens { bearers, shown: 0 };
            Ok(())
        };
        let stale = |is_stale| {
            metrics::gauge!("switchboard_service_token_stale").set(if is_stale { 1 } else { 0 });
        };
        let text = text.expose_secret().to_owned();
        tasks.spawn_until_stopped(follow_file("SERVICE_TOKEN_FILE", path, text, take, stale));
    }

    /// What is shown now.
    pub(super) fn shown(&self) -> Option<Bearer> {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tokens.bearers.get(tokens.shown).cloned()
    }

    /// message-api did not know this one. Is there another to show?
    pub(super) fn is_refused(&self, shown: Option<&Bearer>) -> bool {
        let mut tokens = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_current = tokens.bearers.get(tokens.shown) == shown;
        if is_current {
            tokens.shown = (tokens.shown + 1) % tokens.bearers.len().max(1);
        }
        !is_current || tokens.bearers.len() > 1
    }
}

fn bearers(tokens: &[SecretString]) -> Result<Vec<Bearer>, String> {
    let bearer = |token: &SecretString| {
        let mut bearer: Bearer = format!("Bearer {}", token.expose_secret())
            .parse()
            .map_err(|_| "SERVICE_TOKEN must be printable ASCII".to_owned())?;
        bearer.set_sensitive(true);
        Ok(bearer)
    };
    tokens.iter().map(bearer).collect()
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = self.shown() {
            request.metadata_mut().insert(AUTHORIZATION, bearer);
        }
        spans::in_span(&mut request);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_tokens_the_other_is_shown_once_one_is_refused() {
        let both = ServiceToken {
            tokens: vec!["the new token ...".into(), "the old token ...".into()],
            file: None,
        };
        let token = Token::new(&both).expect("good tokens");
        let new = token.shown();
        assert_eq!(new.as_ref().and_then(|v| v.to_str().ok()), Some("Bearer the new token ..."));
        assert!(token.is_refused(new.as_ref()));
        let old = token.shown();
        assert_ne!(old, new);
        // Another call that had shown the new one changes nothing.
        assert!(token.is_refused(new.as_ref()));
        assert_eq!(token.shown(), old);
        let only = Token::new(&ServiceToken::fixed("the only token ...")).expect("a good token");
        assert!(!only.is_refused(only.shown().as_ref()));
    }
}
