//! Time as clients see it: UTC, to the millisecond.

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

const ISO_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Now, cut to the millisecond, as it will be stored.
#[must_use]
pub fn now() -> OffsetDateTime {
    from_millis(millis(OffsetDateTime::now_utc()))
}

/// ISO 8601 in UTC with milliseconds: `2025-01-02T11:00:00.000Z`.
#[must_use]
pub fn iso(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(ISO_MILLIS).unwrap_or_default()
}

/// Milliseconds since 1970.
#[must_use]
pub fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// The instant so many milliseconds after 1970; 1970 itself where that is out of range.
#[must_use]
pub fn from_millis(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_has_three_digits_of_milliseconds_and_a_z() {
        assert_eq!(iso(from_millis(1_735_815_600_007)), "2025-01-02T11:00:00.007Z");
    }
}
