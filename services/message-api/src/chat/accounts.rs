//! Accounts and sessions.

use chat_core::{
    Caller, ChatError, Code, Credential, Event, Login, Notice, Password, Result, Session,
    SessionId, Topic, User, Username,
};

use super::{Rules, in_time};
use crate::{
    store::{Account, NewAccount, username_taken},
    tokens::invalid_token,
};

impl Rules {
    pub(super) async fn register_account(
        &self,
        name: Username,
        password: Option<Password>,
    ) -> Result<Login> {
        // Asked first, because hashing is dear; the unique key decides between racers.
        in_time(self.check_not_registered(&name)).await?;
        let password_hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let rules = self.clone();
        let made = async move { rules.make_account(NewAccount { name, password_hash }).await };
        self.tasks.to_the_end(made).await
    }

    async fn make_account(&self, account: NewAccount) -> Result<Login> {
        let user = self.store.create_user(&account).await?;
        let login = match self.begin_session(&user).await {
            Ok(login) => login,
            Err(refusal) => {
                // Without its session the account would be a name taken by nobody.
                self.store.forget_user(user.id).await?;
                return Err(refusal);
            }
        };
        self.notice(Notice::UserRegistered(user));
        Ok(login)
    }

    pub(super) async fn check_log_in(&self, name: Username, password: Password) -> Result<Login> {
        let account = self.store.account(&name).await?;
        let stored = account.as_ref().and_then(|account| account.password_hash.clone());
        let is_right = self.passwords.verify(password, stored).await?;
        match account {
            Some(account) if is_right => {
                let rules = self.clone();
                let begun = async move { rules.begin_lasting_session(&account).await };
                self.tasks.to_the_end(begun).await
            }
            _ => Err(wrong_credentials()),
        }
    }

    /// The account may have been deleted since it was looked up, or its password changed. Either
    /// that finds the session that has begun here, or this finds the password gone.
    async fn begin_lasting_session(&self, account: &Account) -> Result<Login> {
        let login = self.begin_session(&account.user).await?;
        match self.store.account(&account.user.name).await? {
            Some(now) if now.password_hash == account.password_hash => Ok(login),
            _ => {
                self.end(login.session.id).await?;
                Err(wrong_credentials())
            }
        }
    }

    async fn begin_session(&self, user: &User) -> Result<Login> {
        let begun = self.sessions.begin(user, |old| self.tell_ended(old)).await?;
        let token = self.tokens.issue(&begun.session)?;
        Ok(Login { session: begun.session, secret: begun.secret, token })
    }

    pub(super) async fn session_of(&self, credential: Credential) -> Result<Session> {
        match credential {
            Credential::Session(secret) => {
                self.sessions.of_secret(&secret).await?.ok_or_else(ChatError::unauthorised)
            }
            Credential::Token(token) => {
                if let Some(identity) = self.issuers.verify(&token).await {
                    return self.session_of_identity(identity?).await;
                }
                let claimed = self.tokens.verify(&token)?;
                let living = self.sessions.touch(claimed.id.clone()).await?;
                living.filter(|session| *session == claimed).ok_or_else(invalid_token)
            }
        }
    }

    /// Told even if the session was dead already: its end may have been told to nobody.
    pub(super) async fn end(&self, session: SessionId) -> Result<()> {
        self.sessions.end(&session, || self.tell_ended(&session)).await
    }

    pub(super) fn tell_ended(&self, session: &SessionId) {
        self.notice(Notice::SessionEnded(session.clone()));
    }

    pub(super) async fn let_in(&self, name: Username) -> Result<Caller> {
        let guest = Caller::Guest(name);
        self.admit(&guest).await?;
        self.check_not_registered(guest.name()).await?;
        Ok(guest)
    }

    /// A guest's name must not be a registered user's, and a new user's neither. A deleted user's
    /// is not free again: nobody shall pose as the author of what they wrote.
    pub(super) async fn check_not_registered(&self, name: &Username) -> Result<()> {
        match self.store.account(name).await? {
            Some(_) => Err(username_taken()),
            None => Ok(()),
        }
    }

    pub(super) fn notice(&self, notice: Notice) {
        self.publisher.publish(vec![Topic::Everyone], Event::Notice(notice));
    }
}

pub(super) fn wrong_credentials() -> ChatError {
    ChatError::new(Code::InvalidCredentials, "wrong user name or password")
}
