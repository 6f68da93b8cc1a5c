//! Registered users.

use chat_core::{ChatError, Code, User, UserId, Username, clock, model::Peer};

use super::{Result, Store, StoreError, rows::stored_name};

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name.
    pub name: Username,
    /// A PHC string; without one nobody can log in to it.
    pub password_hash: Option<String>,
}

/// An account, for logging in.
#[derive(Clone, Debug)]
pub struct Account {
    /// Whose it is.
    pub user: User,
    /// A PHC string; without one nobody can log in to it.
    pub password_hash: Option<String>,
}

impl Store {
    /// Makes an account. Fails with `username_taken`, also when replicas race.
    pub async fn create_user(&self, account: &NewAccount) -> Result<User> {
        let inserted =
            sqlx::query("INSERT INTO users (name, password_hash, created_at) VALUES (?, ?, ?)")
                .bind(account.name.as_str())
                .bind(&account.password_hash)
                .bind(clock::now())
                .execute(&self.pool)
                .await
                .map_err(StoreError::from);
        match inserted {
            Ok(done) => Ok(User { id: UserId(done.last_insert_id()), name: account.name.clone() }),
            Err(error) if error.is_duplicate() => Err(username_taken().into()),
            Err(error) => Err(error),
        }
    }

    /// Takes back an account that nobody has used yet.
    pub async fn forget_user(&self, user: UserId) -> Result<()> {
        sqlx::query("DELETE FROM users WHERE id = ?").bind(user.0).execute(&self.pool).await?;
        Ok(())
    }

    /// The account that bears a name, in any letter case.
    pub async fn account(&self, name: &Username) -> Result<Option<Account>> {
        let row: Option<(u64, String, Option<String>)> =
            sqlx::query_as("SELECT id, name, password_hash FROM users WHERE name = ?")
                .bind(name.as_str())
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(id, name, password_hash)| {
            let user = User { id: UserId(id), name: stored_name(&name)? };
            Ok(Account { user, password_hash })
        })
        .transpose()
    }

    /// The user of an id. Users never change, so known ones are not asked for again.
    pub async fn user_by_id(&self, id: UserId) -> Result<Option<User>> {
        if let Some(user) = self.users.get(&id) {
            return Ok(Some(user));
        }
        let name: Option<String> = sqlx::query_scalar("SELECT name FROM users WHERE id = ?")
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await?;
        let Some(name) = name else { return Ok(None) };
        let user = User { id, name: stored_name(&name)? };
        self.users.learn(id, user.clone());
        Ok(Some(user))
    }

    /// A user, however named. Fails with `unknown_user`.
    pub async fn user(&self, peer: &Peer) -> Result<User> {
        let found = match peer {
            Peer::Id(id) => self.user_by_id(*id).await?,
            Peer::Name(name) => self.account(name).await?.map(|account| account.user),
        };
        found.ok_or_else(|| ChatError::new(Code::UnknownUser, "there is no such user").into())
    }
}

/// The refusal of a name that somebody bears.
#[must_use]
pub(crate) fn username_taken() -> ChatError {
    ChatError::new(Code::UsernameTaken, "this user name is taken")
}
