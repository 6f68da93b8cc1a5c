//! Several statements in one round trip, and what the server answers to each.
//!
//! They go out as one text, since prepared statements can't share a packet on MySQL and MariaDB
//! alike. The server stops at the first that fails. Values stand in the text as numbers and hex
//! digits, so that nothing in them can be taken for SQL, whatever `sql_mode` says.

use std::fmt::{self, Display, Write};

use chat_core::clock;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Either, Executor, MySqlConnection, mysql::MySqlRow};
use time::OffsetDateTime;

use super::Result;

/// Statements to be sent together.
#[derive(Debug, Default)]
pub(super) struct Script {
    sql: String,
    statements: usize,
}

/// Which answer belongs to a statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

impl Script {
    /// One more statement.
    pub(super) fn add(&mut self, statement: impl Display) -> Place {
        let separator = if self.statements == 0 { "" } else { ";" };
        // Writing to a string does not fail.
        let _ = write!(self.sql, "{separator}{statement}");
        self.statements += 1;
        Place(self.statements - 1)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.statements == 0
    }

    /// Runs them all, or up to the first that fails.
    pub(super) async fn run(self, connection: &mut MySqlConnection) -> Result<Answers> {
        let mut answers = Vec::with_capacity(self.statements);
        let mut rows = Vec::new();
        let mut said = connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(self.sql)));
        while let Some(one) = said.try_next().await? {
            match one {
                Either::Right(row) => rows.push(row),
                Either::Left(done) => answers.push(Answer {
                    rows: std::mem::take(&mut rows),
                    last_insert_id: done.last_insert_id(),
                }),
            }
        }
        Ok(Answers(answers))
    }
}

#[derive(Debug)]
struct Answer {
    rows: Vec<MySqlRow>,
    last_insert_id: u64,
}

/// What each statement came to.
#[derive(Debug)]
pub(super) struct Answers(Vec<Answer>);

impl Answers {
    /// The rows of a `SELECT`.
    pub(super) fn rows<T>(&self, place: Place) -> Result<Vec<T>>
    where
        T: for<'r> sqlx::FromRow<'r, MySqlRow>,
    {
        let rows = self.0.get(place.0).map_or(&[][..], |answer| &answer.rows);
        Ok(rows.iter().map(T::from_row).collect::<sqlx::Result<_>>()?)
    }

    /// The id that an `INSERT` gave to its first row.
    pub(super) fn last_insert_id(&self, place: Place) -> u64 {
        self.0.get(place.0).map_or(0, |answer| answer.last_insert_id)
    }
}

/// Values with commas in between.
pub(super) struct List<'a, T>(pub(super) &'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, value) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_char(',')?;
            }
            value.fmt(f)?;
        }
        Ok(())
    }
}

/// A value that may be NULL.
pub(super) struct Nullable<T>(pub(super) Option<T>);

impl<T: Display> Display for Nullable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("NULL"),
        }
    }
}

/// A text.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "_utf8mb4 {}", Bytes(self.0.as_bytes()))
    }
}

/// Bytes.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        f.write_str("X'")?;
        for some in self.0.chunks(64) {
            let mut digits = [0; 128];
            for (byte, pair) in some.iter().zip(digits.chunks_exact_mut(2)) {
                pair[0] = DIGITS[usize::from(byte >> 4)];
                pair[1] = DIGITS[usize::from(byte & 15)];
            }
            f.write_str(std::str::from_utf8(&digits[..some.len() * 2]).map_err(|_| fmt::Error)?)?;
        }
        f.write_char('\'')
    }
}

/// A moment, for a `DATETIME(3)`.
pub(super) struct Moment(pub(super) OffsetDateTime);

impl Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iso = clock::iso(self.0);
        write!(f, "'{}'", iso.trim_end_matches('Z'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_hold_no_sql() {
        assert_eq!(Text("'; --").to_string(), "_utf8mb4 X'273b202d2d'");
        assert_eq!(Text("").to_string(), "_utf8mb4 X''");
        let long: Vec<u8> = (0..=255).collect();
        let digits = Bytes(&long).to_string();
        assert_eq!(digits.len(), 2 * 256 + 3);
        assert!(digits.starts_with("X'000102") && digits.ends_with("feff'"));
        assert_eq!(
            Moment(clock::from_millis(1_735_815_600_007)).to_string(),
            "'2025-01-02T11:00:00.007'"
        );
        assert_eq!(Nullable(None::<u8>).to_string(), "NULL");
        assert_eq!(List(&[1, 2, 3]).to_string(), "1,2,3");
    }
}
