//! Registered users.

use chat_core::{
    ChatError, Code, User, UserId, Username, clock,
    model::{Peer, UserPage},
};

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
    /// Has it been deleted? Its name stays taken.
    pub is_deleted: bool,
}

/// A user as the database has them at this moment.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The user.
    pub user: User,
    /// Has the account been deleted?
    pub is_deleted: bool,
}

impl Store {
    /// Makes an account. Fails with `username_taken`, also when replicas race.
    pub async fn create_user(&self, account: &NewAccount) -> Result<User> {
        let inserted =
            sqlx::query("INSERT INTO users (name, password_hash, created_at) VALUES (?, ?, ?)")
                .bind(account.name.as_str())
                .bind(&account.password_hash)
                .bind(clock::now())
                .execute(&mut *self.connection().await?)
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
        sqlx::query("DELETE FROM users WHERE id = ?")
            .bind(user.0)
            .execute(&mut *self.connection().await?)
            .await?;
        Ok(())
    }

    /// Stores the hash of a new password, if the former one still is what is stored.
    pub async fn replace_password(&self, user: UserId, former: &str, new: &str) -> Result<bool> {
        let replaced = sqlx::query(
            "UPDATE users SET password_hash = ? \
             WHERE id = ? AND password_hash = ? AND deleted_at IS NULL",
        )
        .bind(new)
        .bind(user.0)
        .bind(former)
        .execute(&mut *self.connection().await?)
        .await?;
        Ok(replaced.rows_affected() == 1)
    }

    /// Marks an account as deleted and erases its password. False if it was deleted already.
    pub async fn delete_user(&self, user: UserId) -> Result<bool> {
        let deleted = sqlx::query(
            "UPDATE users SET deleted_at = ?, password_hash = NULL \
             WHERE id = ? AND deleted_at IS NULL",
        )
        .bind(clock::now())
        .bind(user.0)
        .execute(&mut *self.connection().await?)
        .await?;
        self.users.forget(&user);
        Ok(deleted.rows_affected() == 1)
    }

    /// The account that bears a name, in any letter case.
    pub async fn account(&self, name: &Username) -> Result<Option<Account>> {
        let row: Option<(u64, String, Option<String>, bool)> = sqlx::query_as(
            "SELECT id, name, password_hash, deleted_at IS NOT NULL FROM users WHERE name = ?",
        )
        .bind(name.as_str())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        row.map(|(id, name, password_hash, is_deleted)| {
            let user = User { id: UserId(id), name: stored_name(&name)? };
            Ok(Account { user, password_hash, is_deleted })
        })
        .transpose()
    }

    /// The user of an id as of now, deleted or not.
    pub async fn standing(&self, id: UserId) -> Result<Option<Standing>> {
        let row: Option<(String, bool)> =
            sqlx::query_as("SELECT name, deleted_at IS NOT NULL FROM users WHERE id = ?")
                .bind(id.0)
                .fetch_optional(&mut *self.connection().await?)
                .await?;
        row.map(|(name, is_deleted)| {
            Ok(Standing { user: User { id, name: stored_name(&name)? }, is_deleted })
        })
        .transpose()
    }

    /// The author of a post to be stored, who may have been deleted: storing it looks (batch.rs).
    pub async fn author(&self, id: UserId) -> Result<Option<User>> {
        match self.users.recall(&id) {
            Some(user) => Ok(Some(user)),
            None => self.user_by_id(id).await,
        }
    }

    /// The user of an id, unless deleted. What another replica deletes is noticed here after
    /// [`BELIEVED`](super::BELIEVED) at the latest.
    pub async fn user_by_id(&self, id: UserId) -> Result<Option<User>> {
        if let Some(user) = self.users.get(&id) {
            return Ok(Some(user));
        }
        let standing = self.standing(id).await?.filter(|standing| !standing.is_deleted);
        let Some(Standing { user, .. }) = standing else { return Ok(None) };
        self.users.learn(id, user.clone());
        Ok(Some(user))
    }

    /// A user, however named, unless deleted. Fails with `unknown_user`.
    pub async fn user(&self, peer: &Peer) -> Result<User> {
        let found = match peer {
            Peer::Id(id) => {
                let standing = self.standing(*id).await?;
                standing.filter(|standing| !standing.is_deleted).map(|standing| standing.user)
            }
            Peer::Name(name) => {
                let account = self.account(name).await?;
                account.filter(|account| !account.is_deleted).map(|account| account.user)
            }
        };
        found.ok_or_else(|| ChatError::new(Code::UnknownUser, "there is no such user").into())
    }

    /// The users whose names come after `after`, sorted by name without regard to case, without
    /// those who have been deleted.
    pub async fn users(&self, after: Option<&Username>, limit: u32) -> Result<UserPage> {
        let rows: Vec<(u64, String)> = sqlx::query_as(
            "SELECT id, name FROM users FORCE INDEX (users_living) \
             WHERE name > ? AND deleted_at IS NULL ORDER BY name LIMIT ?",
        )
        // No name is empty: all come after it.
        .bind(after.map_or("", Username::as_str))
        .bind(limit.saturating_add(1))
        .fetch_all(&mut *self.connection().await?)
        .await?;
        let is_last = rows.len() <= limit as usize;
        let users = rows
            .into_iter()
            .take(limit as usize)
            .map(|(id, name)| Ok(User { id: UserId(id), name: stored_name(&name)? }))
            .collect::<Result<Vec<_>>>()?;
        let next = users.last().filter(|_| !is_last).map(|user| user.name.clone());
        Ok(UserPage { users, next })
    }
}

/// The refusal of a name that somebody bears.
#[must_use]
pub(crate) fn username_taken() -> ChatError {
    ChatError::new(Code::UsernameTaken, "this user name is taken")
}
