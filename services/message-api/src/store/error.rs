//! What can go wrong with SQL, and what it means for who asked.

use chat_core::ChatError;
use sqlx::mysql::MySqlDatabaseError;

/// A statement failed, or the rules refused what it found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database, or the way to it.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// Not the database's fault.
    #[error(transparent)]
    Refused(#[from] ChatError),
    /// The connection was lost before anything was stored.
    #[error("not begun: {0}")]
    NotBegun(#[source] sqlx::Error),
    /// The transaction took too long; whether it was committed is unknown.
    #[error("the transaction took too long")]
    TooSlow,
}

/// Error numbers that MySQL and MariaDB share, unless noted.
mod number {
    pub(super) const DUPLICATE: u16 = 1062;
    pub(super) const LOCK_WAIT: u16 = 1205;
    /// MySQL's for NOWAIT; MariaDB says LOCK_WAIT.
    pub(super) const HELD: u16 = 3572;
    pub(super) const DEADLOCK: u16 = 1213;
    pub(super) const CHECKREAD: u16 = 1020;
    pub(super) const NO_SUCH_DATABASE: u16 = 1049;
    /// The server closes the connection: shutting down, killed, idle for too long.
    pub(super) const LOST: [u16; 3] = [1053, 1927, 4031];
    /// Too many connections, shutting down, killed, read-only (a failover under way), too slow.
    pub(super) const PASSING: [u16; 12] =
        [1040, 1053, 1077, 1129, 1203, 1290, 1317, 1792, 1836, 1927, 1969, 3024];
}

impl StoreError {
    fn number(&self) -> Option<u16> {
        let Self::Sql(error) = self else { return None };
        let database = error.as_database_error()?;
        Some(database.try_downcast_ref::<MySqlDatabaseError>()?.number())
    }

    /// A unique key has that value already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.number() == Some(number::DUPLICATE)
    }

    /// Somebody holds a row, and it was not to be waited for.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self.number(), Some(number::HELD | number::LOCK_WAIT))
    }

    /// The URL names a database that does not exist.
    #[must_use]
    pub fn is_no_such_database(&self) -> bool {
        self.number() == Some(number::NO_SUCH_DATABASE)
    }

    /// The same, of a statement that stores nothing.
    pub(super) fn before_storing(self) -> Self {
        let is_lost = self.number().is_some_and(|number| number::LOST.contains(&number));
        match self {
            Self::Sql(lost) if is_lost || matches!(lost, sqlx::Error::Io(_)) => {
                Self::NotBegun(lost)
            }
            other => other,
        }
    }

    /// Another transaction was in the way; the same again will work. Nothing was stored.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        matches!(self.number(), Some(number::LOCK_WAIT | number::DEADLOCK | number::CHECKREAD))
    }

    /// The database can't be reached or can't work for the moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(error) => error.code().is_transient(),
            Self::TooSlow | Self::NotBegun(_) => true,
            Self::Sql(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            Self::Sql(_) => {
                self.is_contention() || self.number().is_some_and(|n| number::PASSING.contains(&n))
            }
        }
    }
}

impl From<StoreError> for ChatError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => refusal,
            error if error.is_passing() => Self::unavailable("mysql", error),
            error => Self::internal("mysql", error),
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_core::Code;

    use super::*;

    #[test]
    fn a_lost_connection_is_unavailable_and_a_wrong_statement_internal() {
        let code = |error: sqlx::Error| ChatError::from(StoreError::from(error)).code();
        assert_eq!(code(sqlx::Error::PoolTimedOut), Code::Unavailable);
        assert_eq!(code(std::io::Error::other("reset").into()), Code::Unavailable);
        assert_eq!(code(sqlx::Error::RowNotFound), Code::Internal);
    }
}
