//! Who comes with a token of another issuer. The first token makes an account, which has no password;
//! each token is a session, begun by its first use.
//!
//! An account that was deleted stays so for all tokens that were issued before. Later ones make a new
//! account: whoever deleted the old one has logged in at the issuer again since.

use chat_core::{ChatError, Notice, Result, Session, User};
use time::OffsetDateTime;

use super::Rules;
use crate::{
    issuers::{Identity, LEEWAY},
    sessions::Known,
    store::{Binding, Bound},
    tokens::invalid_token,
};

/// How often somebody new is given another name, or looked for anew.
const ATTEMPTS: u32 = 8;

impl Rules {
    pub(super) async fn session_of_identity(&self, who: Identity) -> Result<Session> {
        match self.sessions.known(&who.session).await? {
            Known::Living(session) => Ok(session),
            Known::Ended => Err(invalid_token()),
            Known::Nothing => {
                let rules = self.clone();
                self.tasks.to_the_end(async move { rules.enter(&who).await }).await
            }
        }
    }

    /// The account may be deleted meanwhile. Either that finds the session that has begun here, or this
    /// finds the account gone.
    async fn enter(&self, who: &Identity) -> Result<Session> {
        let user = self.user_of(who).await?;
        let ended = |old: &_| self.tell_ended(old);
        let known = self.sessions.enter(&user, &who.session, who.until, ended).await?;
        let Known::Living(session) = known else { return Err(invalid_token()) };
        match self.store.bound(&who.issuer, &who.subject).await? {
            Some(now) if now.deleted_at.is_none() && now.user == session.user => Ok(session),
            _ => {
                self.end(session.id).await?;
                Err(invalid_token())
            }
        }
    }

    async fn user_of(&self, who: &Identity) -> Result<User> {
        for attempt in 0..ATTEMPTS {
            let bound = self.store.bound(&who.issuer, &who.subject).await?;
            if bound.as_ref().is_some_and(|bound| is_of_the_past(who, bound)) {
                return Err(invalid_token());
            }
            let former = match bound {
                Some(bound) if bound.deleted_at.is_none() => return Ok(bound.user),
                deleted => deleted,
            };
            let Some(name) = who.name(attempt) else { continue };
            let made = self.store.bind(&who.issuer, &who.subject, &name, former.as_ref()).await?;
            if let Binding::Made(user) = made {
                tracing::info!(issuer = who.issuer, user = user.id.0, "a new user by a token");
                self.notice(Notice::UserRegistered(user.clone()));
                return Ok(user);
            }
        }
        Err(ChatError::unavailable("making an account", "all names are taken"))
    }
}

/// Was the token issued before the last account that was deleted? The issuer's clock may be ahead.
fn is_of_the_past(who: &Identity, bound: &Bound) -> bool {
    let is_before = |at: OffsetDateTime| who.issued_at <= at + LEEWAY;
    bound.deleted_at.is_some_and(is_before) || bound.not_before.is_some_and(is_before)
}
