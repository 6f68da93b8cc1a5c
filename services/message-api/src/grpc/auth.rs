//! Only services that know the service token may call.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use switchboard_proto::AUTHORIZATION;
use tonic::{Request, Status, service::Interceptor};

/// Lets calls with the right `authorization: Bearer <token>` pass.
#[derive(Clone)]
pub struct ServiceToken([u8; 32]);

impl ServiceToken {
    /// Expects this token.
    #[must_use]
    pub fn new(token: &SecretString) -> Self {
        Self(Sha256::digest(token.expose_secret()).into())
    }

    /// Digests are compared, not tokens: the time that takes says nothing about the token.
    fn is_shown_by<T>(&self, request: &Request<T>) -> bool {
        let shown = request.metadata().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        shown
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|token| Sha256::digest(token).as_slice() == self.0.as_slice())
    }
}

impl Interceptor for ServiceToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if self.is_shown_by(&request) {
            return Ok(request);
        }
        tracing::warn!("a call without the right service token was refused");
        Err(Status::unauthenticated("show the service token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_let_in(value: Option<&str>) -> bool {
        let mut request = Request::new(());
        if let Some(value) = value {
            request.metadata_mut().insert(AUTHORIZATION, value.parse().expect("ASCII"));
        }
        ServiceToken::new(&"a service token".into()).call(request).is_ok()
    }

    #[test]
    fn only_the_right_token_is_let_in() {
        assert!(is_let_in(Some("Bearer a service token")));
        for wrong in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer a service toke"),
            Some("Bearer a service token "),
            Some("Basic a service token"),
            Some("a service token"),
        ] {
            assert!(!is_let_in(wrong), "{wrong:?}");
        }
    }
}
