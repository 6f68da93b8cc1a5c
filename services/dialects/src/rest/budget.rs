//! How much may be asked of REST: whoever logged in has an allowance of his own, all others share
//! that of the address that they come from. Each dialect words the refusal.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderMap, Method},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use chat_core::{Credential, UserId};
use secrecy::ExposeSecret as _;
use utoipa_axum::router::OpenApiRouter;

use super::{RestState, credentials, mount::Phrase};
use crate::{
    address::Address,
    allowance::{Allowances, Allowed, Class, Owner},
};

/// For how long it is remembered whose a credential is. It never becomes another user's; one that
/// has died meanwhile is refused by whoever is asked.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Most credentials that are remembered.
const MOST: usize = 20_000;

/// What changes something and costs no more than a question: logging in and out, and how far one has
/// read. Who registers or tries to log in is counted beside that ([`super::door`]).
const CHEAP: [&str; 11] = [
    "/auth/register",
    "/register",
    "/login",
    "/logout",
    "/api/register",
    "/api/login",
    "/api/auth/register",
    "/api/auth/login",
    "/api/auth/password",
    "/api/verify",
    "/api/inbox/",
];

/// Everybody's allowances at this replica.
pub struct Budget {
    allowances: Arc<Allowances>,
    hasher: RandomState,
    whose: Mutex<HashMap<u64, (UserId, Instant)>>,
}

impl Budget {
    /// So many messages and so many queries a second, for a user or an address; 0: any number.
    #[must_use]
    pub fn new(messages: u32, queries: u32) -> Self {
        let allowed = Allowed { messages, queries, ..Allowed::default() };
        Self {
            allowances: Allowances::new(allowed),
            hasher: RandomState::new(),
            whose: Mutex::default(),
        }
    }

    /// Whose request it is. Asked is only where that is not known from a moment ago.
    async fn owner(&self, state: &RestState, headers: &HeaderMap, from: Address) -> Owner {
        let cookie = credentials::from_cookie(headers);
        for shown in cookie.into_iter().chain(credentials::from_authorization(headers)) {
            let key = self.key(&shown);
            if let Some(user) = self.known(key) {
                return Owner::User(user);
            }
            if let Ok(session) = state.chat.authenticate(shown).await {
                self.remember(key, session.user.id);
                return Owner::User(session.user.id);
            }
        }
        Owner::Address(from)
    }

    /// Two credentials of one key would share a purse, and nothing else.
    fn key(&self, shown: &Credential) -> u64 {
        self.hasher.hash_one(match shown {
            Credential::Session(secret) => (true, secret.expose_secret()),
            Credential::Token(token) => (false, token.expose_secret()),
        })
    }

    fn known(&self, key: u64) -> Option<UserId> {
        let whose = self.whose();
        whose.get(&key).filter(|(_, until)| *until > Instant::now()).map(|(user, _)| *user)
    }

    fn remember(&self, key: u64, user: UserId) {
        let (mut whose, now) = (self.whose(), Instant::now());
        if whose.len() >= MOST {
            whose.retain(|_, (_, until)| *until > now);
        }
        if whose.len() >= MOST {
            whose.clear();
        }
        whose.insert(key, (user, now + REMEMBERED));
    }

    fn whose(&self) -> MutexGuard<'_, HashMap<u64, (UserId, Instant)>> {
        self.whose.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dialect's routes, each of them within the allowance of whoever asks.
pub(super) fn within(
    routes: OpenApiRouter<RestState>,
    state: &RestState,
    phrase: Phrase,
) -> OpenApiRouter<RestState> {
    routes.layer(from_fn_with_state((state.clone(), phrase), charge))
}

async fn charge(
    State((state, phrase)): State<(RestState, Phrase)>,
    request: Request,
    next: Next,
) -> Response {
    let class = class_of(request.method(), request.uri().path());
    if !state.budget.allowances.limits(class) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Ok(from) = Address::from_request_parts(&mut parts, &state).await;
    let owner = state.budget.owner(&state, &parts.headers, from).await;
    let request = Request::from_parts(parts, body);
    match state.budget.allowances.take(owner, class) {
        Ok(()) => next.run(request).await,
        Err(refusal) => phrase(&state, &request, &refusal),
    }
}

/// The class of a request. What changes something counts as a message, unless it stands above.
fn class_of(method: &Method, path: &str) -> Class {
    let is_cheap = || CHEAP.iter().any(|known| path.starts_with(known));
    match method.is_safe() || is_cheap() {
        true => Class::Queries,
        false => Class::Messages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_hear_of_is_a_message() {
        let class = |method, path| class_of(&method, path);
        for (method, path) in [
            (Method::POST, "/api/v1/messages"),
            (Method::POST, "/api/conversations/"),
            (Method::PATCH, "/api/conversations/lobby/1"),
            (Method::DELETE, "/api/conversations/lobby/1"),
            (Method::POST, "/api/upload/files"),
            (Method::DELETE, "/api/auth/account"),
        ] {
            assert_eq!(class(method, path), Class::Messages, "{path}");
        }
        for (method, path) in [
            (Method::GET, "/api/conversations/"),
            (Method::HEAD, "/api/v1/messages"),
            (Method::POST, "/api/login"),
            (Method::POST, "/api/inbox/lobby/seen"),
        ] {
            assert_eq!(class(method, path), Class::Queries, "{path}");
        }
    }

    #[test]
    fn whose_a_credential_is_is_known_for_a_while_and_memory_is_bounded() {
        let budget = Budget::new(1, 1);
        let of = |n: usize| Credential::Token(n.to_string().into());
        for n in 0..3 * MOST {
            budget.remember(budget.key(&of(n)), UserId(n as u64));
            assert_eq!(budget.known(budget.key(&of(n))), Some(UserId(n as u64)));
        }
        assert!(budget.whose().len() <= MOST);
        let session = Credential::Session("7".into());
        assert_ne!(budget.key(&session), budget.key(&of(7)));
    }
}
