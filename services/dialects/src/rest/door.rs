//! Registering and logging in, past the door: who knocks too often waits outside.

use async_trait::async_trait;
use chat_core::{Code, Login, Password, Result, Session, Username};

use super::{RestState, accounts::Entry};
use crate::address::Address;

/// Counts who knocks. Its refusals are `rate_limited` and know when to come again.
#[async_trait]
pub trait Door: Send + Sync {
    /// May somebody from there try a password of this account? Until the outcome is told, it counts
    /// as a wrong one.
    async fn may_log_in(&self, from: Address, name: &Username) -> Result<()>;

    /// It was the right password, or a new account: this address is now known as its owner's.
    async fn came_in(&self, from: Address, name: &Username);

    /// It was not found out whether the password was right: the try does not count.
    async fn undecided(&self, from: Address, name: &Username);

    /// May somebody from there make an account?
    async fn may_register(&self, from: Address) -> Result<()>;
}

/// Logs in.
pub(crate) async fn log_in(state: &RestState, from: Address, entry: Entry) -> Result<Login> {
    let Entry { username, password } = entry;
    state.door.may_log_in(from, &username).await?;
    let outcome = state.chat.log_in(username.clone(), password).await;
    tell(state, from, &username, &outcome).await;
    outcome
}

/// Changes the password of who is logged in. The current one can be guessed here as well.
pub(crate) async fn change_password(
    state: &RestState,
    from: Address,
    session: &Session,
    (current, new): (Password, Password),
) -> Result<()> {
    let name = &session.user.name;
    state.door.may_log_in(from, name).await?;
    let outcome = state.chat.change_password(session, current, new).await;
    tell(state, from, name, &outcome).await;
    outcome
}

/// Tells how a try ended.
async fn tell<T: Sync>(state: &RestState, from: Address, name: &Username, outcome: &Result<T>) {
    match outcome {
        Ok(_) => state.door.came_in(from, name).await,
        Err(error) if error.code() == Code::InvalidCredentials => {}
        Err(_) => state.door.undecided(from, name).await,
    }
}

/// Makes an account and logs it in.
pub(crate) async fn register(
    state: &RestState,
    from: Address,
    username: Username,
    password: Option<Password>,
) -> Result<Login> {
    state.door.may_register(from).await?;
    let login = state.chat.register(username.clone(), password).await?;
    state.door.came_in(from, &username).await;
    Ok(login)
}
