//! Deleting an account, in an order that never leaves it half done.
//!
//! 1. The account is looked up: without MySQL nothing happens.
//! 2. All its sessions end: without Redis nothing happens.
//! 3. The row is marked as deleted and its password erased: from here on it is deleted.
//! 4. Sessions that began between 2 and 3 end. Who logs in later is refused, because logging in
//!    looks at the account again once the session has begun (accounts.rs).
//!
//! Should Redis go away just before 4, a session that began in that moment stays until it expires;
//! it is of no use, since every verb that takes a caller looks the caller up.
//!
//! If it stops between 2 and 3, the user is logged out and has everything still.

use chat_core::{ChatError, Code, Notice, Result, SessionId, User, UserId};

use super::Rules;

impl Rules {
    pub(super) async fn delete_user(&self, user: &User) -> Result<()> {
        let known = self.store.standing(user.id).await?;
        let known = known.filter(|standing| standing.user.name == user.name);
        if known.is_none() {
            return Err(ChatError::new(Code::UnknownUser, "there is no such user"));
        }
        self.end_sessions(user.id, None).await?;
        let is_first = self.store.delete_user(user.id).await?;
        if let Err(refusal) = self.end_sessions(user.id, None).await {
            tracing::warn!(%refusal, user = user.id.0, "late sessions of a deleted account");
        }
        if is_first {
            self.notice(Notice::UserDeleted(user.clone()));
        }
        Ok(())
    }

    /// Ends all sessions of a user, or all but one, and tells the gateways.
    pub(super) async fn end_sessions(&self, user: UserId, but: Option<&SessionId>) -> Result<()> {
        self.sessions.end_all(user, but, |ended| self.tell_ended(ended)).await
    }
}
