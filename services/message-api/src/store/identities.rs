//! Who of another issuer is which user: one user for each, however many replicas race.

use async_trait::async_trait;
use chat_core::{User, UserId, Username, clock};
use sqlx::MySqlConnection;
use time::OffsetDateTime;

use super::{Result, Store, rows::stored_name, transaction::Work};

/// Who somebody of another issuer is here.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The user.
    pub user: User,
    /// When the account was deleted, if it was.
    pub deleted_at: Option<OffsetDateTime>,
    /// When an account that they had before was deleted.
    pub not_before: Option<OffsetDateTime>,
}

/// What became of making an account for somebody of another issuer.
#[derive(Debug)]
pub enum Binding {
    /// It is made.
    Made(User),
    /// Somebody has the name, or had it.
    NameTaken,
    /// They have an account already: somebody else was quicker.
    Raced,
}

impl Store {
    /// Who a subject of an issuer is.
    pub async fn bound(&self, issuer: &str, subject: &str) -> Result<Option<Bound>> {
        type Row = (u64, String, Option<OffsetDateTime>, Option<OffsetDateTime>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT u.id, u.name, u.deleted_at, e.not_before FROM external_identities e \
             JOIN users u ON u.id = e.user_id WHERE e.issuer = ? AND e.subject = ?",
        )
        .bind(issuer.as_bytes())
        .bind(subject.as_bytes())
        .fetch_optional(&mut *self.connection().await?)
        .await?;
        row.map(|(id, name, deleted_at, not_before)| {
            let user = User { id: UserId(id), name: stored_name(&name)? };
            Ok(Bound { user, deleted_at, not_before })
        })
        .transpose()
    }

    /// Makes an account without a password for a subject of an issuer who has none, or whose `former`
    /// one was deleted.
    pub async fn bind(
        &self,
        issuer: &str,
        subject: &str,
        name: &Username,
        former: Option<&Bound>,
    ) -> Result<Binding> {
        let made = self.transact(&NewUser { issuer, subject, name, former }).await;
        match made {
            Ok(Some(user)) => Ok(Binding::Made(user)),
            Ok(None) => Ok(Binding::Raced),
            Err(error) if error.is_duplicate() => match self.account(name).await? {
                Some(_) => Ok(Binding::NameTaken),
                None => Ok(Binding::Raced),
            },
            Err(error) => Err(error),
        }
    }
}

struct NewUser<'a> {
    issuer: &'a str,
    subject: &'a str,
    name: &'a Username,
    former: Option<&'a Bound>,
}

#[async_trait]
impl Work for NewUser<'_> {
    /// `None`, and nothing stored, if somebody else was quicker to replace the former account.
    type Out = Option<User>;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Option<User>> {
        let (issuer, subject) = (self.issuer.as_bytes(), self.subject.as_bytes());
        if let Some(former) = self.former {
            let holder: Option<u64> = sqlx::query_scalar(
                "SELECT user_id FROM external_identities \
                 WHERE issuer = ? AND subject = ? FOR UPDATE",
            )
            .bind(issuer)
            .bind(subject)
            .fetch_optional(&mut *connection)
            .await?;
            if holder != Some(former.user.id.0) {
                return Ok(None);
            }
        }
        let inserted = sqlx::query("INSERT INTO users (name, created_at) VALUES (?, ?)")
            .bind(self.name.as_str())
            .bind(clock::now())
            .execute(&mut *connection)
            .await?;
        let user = User { id: UserId(inserted.last_insert_id()), name: self.name.clone() };
        let bind = match self.former {
            None => sqlx::query(
                "INSERT INTO external_identities (user_id, not_before, issuer, subject) \
                 VALUES (?, ?, ?, ?)",
            ),
            Some(_) => sqlx::query(
                "UPDATE external_identities SET user_id = ?, not_before = ? \
                 WHERE issuer = ? AND subject = ?",
            ),
        };
        bind.bind(user.id.0)
            .bind(self.former.and_then(|former| former.deleted_at))
            .bind(issuer)
            .bind(subject)
            .execute(connection)
            .await?;
        Ok(Some(user))
    }
}
