//! Who shows a token: it is not guessed at without end.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::HeaderMap;
use chat_core::ChatError;
use dialects::address::Address;

use crate::{doorkeeper::Doorkeeper, grpc::ServiceTokens};

/// Addresses that are remembered. Only who has a token adds to them.
const FAMILIAR: usize = 1_024;

/// Lets in whoever shows the token of a service.
///
/// Each address may show so many wrong ones in a time; further ones from there are not looked at. That
/// locks nobody out who was let in before: tokens from such an address are always looked at.
pub struct Guests {
    tokens: ServiceTokens,
    door: Arc<Doorkeeper>,
    trusted_hops: usize,
    familiar: Mutex<HashSet<Address>>,
}

impl Guests {
    /// With these tokens; so many proxies are believed.
    #[must_use]
    pub fn new(tokens: ServiceTokens, door: Arc<Doorkeeper>, trusted_hops: usize) -> Self {
        Self { tokens, door, trusted_hops, familiar: Mutex::default() }
    }

    /// Is it the token of a service? The error says that there were too many others.
    pub(super) async fn lets_in(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
    ) -> Result<bool, ChatError> {
        let from = Address::of(peer.ip(), headers, self.trusted_hops);
        let is_right = || self.tokens.caller(headers).is_some();
        if self.familiar().contains(&from) && is_right() {
            return Ok(true);
        }
        self.door.may_show_token(from).await?;
        if !is_right() {
            return Ok(false);
        }
        let mut familiar = self.familiar();
        if familiar.len() >= FAMILIAR {
            familiar.clear();
        }
        familiar.insert(from);
        Ok(true)
    }

    fn familiar(&self) -> MutexGuard<'_, HashSet<Address>> {
        self.familiar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
