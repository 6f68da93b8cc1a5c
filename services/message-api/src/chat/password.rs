//! Changing a password, in an order that leaves nobody in who knows the old one only.
//!
//! 1. The current password is verified.
//! 2. All other sessions end: without Redis nothing happens.
//! 3. The new password is stored, if the old one still is what was verified: of two changes at once
//!    one is refused.
//! 4. Sessions that began between 2 and 3 end. Who logs in later with the old password is refused,
//!    because logging in looks at the account again once the session has begun (accounts.rs).

use chat_core::{Password, Result, Session};

use super::{Rules, accounts::wrong_credentials, in_time};

impl Rules {
    pub(super) async fn replace_password(
        &self,
        session: &Session,
        current: Password,
        new: Password,
    ) -> Result<()> {
        let user = &session.user;
        let account = in_time(async { Ok(self.store.account(&user.name).await?) }).await?;
        let account = account.filter(|account| account.user.id == user.id && !account.is_deleted);
        let former = account.and_then(|account| account.password_hash);
        let is_right = self.passwords.verify(current, former.clone()).await?;
        let Some(former) = former.filter(|_| is_right) else { return Err(wrong_credentials()) };
        let hash = self.passwords.hash(new).await?;
        let (rules, session) = (self.clone(), session.clone());
        let replaced = async move { rules.replace_verified(&session, &former, &hash).await };
        self.tasks.to_the_end(replaced).await
    }

    async fn replace_verified(&self, session: &Session, former: &str, hash: &str) -> Result<()> {
        let user = &session.user;
        self.end_sessions(user.id, Some(&session.id)).await?;
        if !self.store.replace_password(user.id, former, hash).await? {
            return Err(wrong_credentials());
        }
        if let Err(refusal) = self.end_sessions(user.id, Some(&session.id)).await {
            tracing::warn!(%refusal, user = user.id.0, "late sessions of the former password");
        }
        Ok(())
    }
}
